/**
 * Patterns in file name prefixes: `%date:yyyy-MM-dd%` and `%Title of a node.name of a field%`.
 *
 * A node is found by its property "Node name for S&R" or its title. Patterns that the server fills in (`%width%`,
 * `%year%` …) stay.
 */

import type { Doc, GraphNode } from "../document/document";
import type { Catalogue } from "../document/schema";
import { widgetValues } from "../document/widget_values";
import { type ApiWorkflow, type PlacedNode, placedNodes, toApi } from "./api";

const FILE_NAME_INPUT = "filename_prefix";

/** The API dialect with the patterns in file names filled in, with the values that run. */
export function toNamedApi(doc: Doc, catalogue: Catalogue, now: Date = new Date()): ApiWorkflow {
  const placed = placedNodes(doc, catalogue);
  const api = toApi(doc, catalogue, placed);
  const names = new FileNames(placed, catalogue, now);
  const filled = placed.flatMap(({ id, prefix, inputs, runs }) => {
    const text = runs ? inputs?.[FILE_NAME_INPUT] : undefined;
    return typeof text === "string" ? [[id, names.filledIn(text, prefix)] as const] : [];
  });
  for (const [id, name] of filled) {
    const node = api[id];
    if (node) api[id] = { ...node, inputs: { ...node.inputs, [FILE_NAME_INPUT]: name } };
  }
  return api;
}

class FileNames {
  private found: { here: Map<string, PlacedNode>; anywhere: Map<string, PlacedNode> } | null = null;

  constructor(
    private readonly placed: PlacedNode[],
    private readonly catalogue: Catalogue,
    private readonly now: Date,
  ) {}

  /** A percent sign that starts no known token is plain text, and the next one may start a token: `100%_%date:yyyy%`. */
  filledIn(text: string, prefix: string): string {
    let filled = "";
    for (let at = 0; at < text.length; ) {
      const end = text[at] === "%" ? text.indexOf("%", at + 1) : -1;
      const value = end < 0 ? undefined : this.tokenValue(text.slice(at + 1, end), prefix);
      filled += value ?? text[at];
      at = value === undefined ? at + 1 : end + 1;
    }
    return filled;
  }

  /** undefined: not a token that is filled in here. */
  private tokenValue(inner: string, prefix: string): string | undefined {
    if (inner.startsWith("date:")) return formatted(this.now, inner.slice("date:".length));
    const dot = inner.lastIndexOf(".");
    const value = dot < 0 ? undefined : this.fieldValue(inner.slice(0, dot), inner.slice(dot + 1), prefix);
    // A value forms one part of a path, whatever it contains.
    return value === undefined || value === null
      ? undefined
      : String(value).replace(/[/?<>\\:*|"\u0000-\u001f\u007f]/g, "_");
  }

  /** An input that another node computes counts with its field's value. */
  private fieldValue(called: string, field: string, prefix: string): unknown {
    const names = this.names();
    const placed = names.here.get(`${prefix}\n${called}`) ?? names.anywhere.get(called);
    if (!placed) return undefined;
    const value = placed.inputs && Object.hasOwn(placed.inputs, field) ? placed.inputs[field] : undefined;
    if (value !== undefined && value !== null && !Array.isArray(value)) return value;
    const { node } = placed;
    const own = widgetValues(node, this.catalogue.get(node.type));
    return Object.hasOwn(own, field) ? own[field] : undefined;
  }

  /** Nodes with the same prefix are preferred, then other nodes that run; names for search count before titles. */
  private names() {
    if (this.found) return this.found;
    const here = new Map<string, PlacedNode>();
    const anywhere = new Map<string, PlacedNode>();
    const add = (names: Map<string, PlacedNode>, key: string, placed: PlacedNode) => {
      if (!names.has(key)) names.set(key, placed);
    };
    const title = (node: GraphNode) => node.title || this.catalogue.get(node.type)?.title || node.type;
    const running = this.placed.filter(({ inputs }) => inputs !== null);
    const ordered = [...running, ...this.placed.filter(({ inputs }) => inputs === null)];
    for (const nameOf of [(node: GraphNode) => node.properties?.["Node name for S&R"], title]) {
      for (const placed of ordered) {
        const name = nameOf(placed.node);
        if (typeof name !== "string") continue;
        add(anywhere, name, placed);
        if (placed.inputs !== null) add(here, `${placed.prefix}\n${name}`, placed);
      }
    }
    this.found = { here, anywhere };
    return this.found;
  }
}

function formatted(date: Date, format: string): string {
  const parts: Record<string, number> = {
    d: date.getDate(),
    M: date.getMonth() + 1,
    h: date.getHours(),
    m: date.getMinutes(),
    s: date.getSeconds(),
  };
  return format.replace(/yyyy|yy|dd?|MM?|hh?|mm?|ss?/g, (sign) => {
    if (sign.startsWith("y")) return String(date.getFullYear()).slice(-sign.length);
    return String(parts[sign[0]!]).padStart(sign.length, "0");
  });
}
