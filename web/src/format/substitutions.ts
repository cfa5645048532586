/**
 * What a text may leave open until it is queued.
 *
 * - `{red|green|blue}` in a field that takes dynamic prompts: one of them, chosen anew for each run. They nest;
 *   `\{`, `\|` and `\}` are the signs themselves; remarks are written as in C and left out.
 * - `%date:yyyy-MM-dd%` and `%Title of a node.name of a field%` in a file name's prefix. A node is called by its
 *   property "Node name for S&R" or its title. What the server fills in itself (`%width%`, `%year%` …) stays.
 */

import { type Doc, type GraphNode, type Level, subgraphs } from "../document/document";
import { mapEveryNode } from "../document/edits";
import type { Catalogue, InputDef } from "../document/schema";
import { widgetInputs, widgetValues, withWidget } from "../document/widget_values";

/** The document with every dynamic prompt settled. It is what the picture carries: loaded again, it gives the same. */
export function withChosenPrompts(doc: Doc, catalogue: Catalogue, random: () => number = Math.random): Doc {
  return withTexts(
    doc,
    catalogue,
    (input) => input.dynamicPrompts === true,
    (text) => chosenPrompt(text, random),
  );
}

/** The document with the file names' prefixes filled in; for the prompt alone, the file keeps its pattern. */
export function withFilledNames(doc: Doc, catalogue: Catalogue, now: Date = new Date()): Doc {
  const everywhere = [doc, ...subgraphs(doc).values()];
  return withTexts(
    doc,
    catalogue,
    (input) => input.name === "filename_prefix",
    (text) => filledName(text, everywhere, catalogue, now),
  );
}

function withTexts(
  doc: Doc,
  catalogue: Catalogue,
  applies: (input: InputDef) => boolean,
  change: (text: string) => string,
): Doc {
  return mapEveryNode(doc, (node) => {
    const def = catalogue.get(node.type);
    if (!def?.inputs.some(applies)) return node;
    let after = node;
    const values = widgetValues(node, def);
    for (const input of widgetInputs(node, def).filter(applies)) {
      const text = values[input.name];
      const settled = typeof text === "string" ? change(text) : text;
      if (settled !== text) after = withWidget(after, def, input.name, settled);
    }
    return after;
  });
}

/** One of what a dynamic prompt can be. An opening brace that nothing closes is a brace. */
export function chosenPrompt(text: string, random: () => number = Math.random): string {
  const signs = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").match(/\\[{|}]|[\s\S]/gu) ?? [];
  let at = 0;

  /** Up to the end of an option, or of everything. */
  const sequence = (inside: boolean): string => {
    let read = "";
    while (at < signs.length) {
      const sign = signs[at]!;
      if (inside && (sign === "|" || sign === "}")) break;
      at += 1;
      if (sign === "{") read += choice();
      else read += sign.length > 1 && sign.startsWith("\\") ? sign[1] : sign;
    }
    return read;
  };

  const choice = (): string => {
    const options = [sequence(true)];
    while (signs[at] === "|") {
      at += 1;
      options.push(sequence(true));
    }
    if (at >= signs.length) return `{${options.join("|")}`;
    at += 1;
    return options[Math.floor(random() * options.length)]!;
  };

  return sequence(false);
}

/** A percent sign that opens no known token stands for itself, and the next one may open one: `100%_%date:yyyy%`. */
function filledName(text: string, everywhere: Level[], catalogue: Catalogue, now: Date): string {
  let filled = "";
  for (let at = 0; at < text.length; ) {
    const end = text[at] === "%" ? text.indexOf("%", at + 1) : -1;
    const value = end < 0 ? undefined : tokenValue(text.slice(at + 1, end), everywhere, catalogue, now);
    filled += value ?? text[at];
    at = value === undefined ? at + 1 : end + 1;
  }
  return filled;
}

/** undefined: not a token that is filled in here. */
function tokenValue(inner: string, everywhere: Level[], catalogue: Catalogue, now: Date): string | undefined {
  if (inner.startsWith("date:")) return formatted(now, inner.slice("date:".length));
  const dot = inner.lastIndexOf(".");
  const value = dot < 0 ? undefined : fieldValue(inner.slice(0, dot), inner.slice(dot + 1), everywhere, catalogue);
  // A value is one part of a path, whatever is in it.
  return value === undefined ? undefined : String(value).replace(/[/?<>\\:*|"\u0000-\u001f\u007f]/g, "_");
}

function fieldValue(called: string, field: string, everywhere: Level[], catalogue: Catalogue): unknown {
  const nodes = everywhere.flatMap((level) => level.nodes);
  const titled = (node: GraphNode) => (node.title ?? catalogue.get(node.type)?.title ?? node.type) === called;
  const node = nodes.find((candidate) => candidate.properties?.["Node name for S&R"] === called) ?? nodes.find(titled);
  return node && widgetValues(node, catalogue.get(node.type))[field];
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
