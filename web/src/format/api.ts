/**
 * The API dialect of a workflow: what the server runs.
 *
 * Node n inside the subgraph node p gets the id `p:n`, to any depth. Muted nodes are left out and so are the
 * inputs they feed; bypassed ones, reroutes and primitives are passed through.
 */

import { bypass } from "../document/bypass";
import {
  BYPASSED,
  type Doc,
  type GraphNode,
  type Id,
  type InputSlot,
  type Level,
  linksById,
  linksOf,
  MUTED,
  NORMAL,
  NOTES,
  nodesById,
  type Subgraph,
  subgraphs,
} from "../document/document";
import { withoutGroupNodes } from "../document/group_conversion";
import { namedValues, ownSlots, proxies } from "../document/promoted";
import type { Catalogue, NodeDef } from "../document/schema";
import { widgetValues } from "../document/widget_values";

export interface ApiNode {
  class_type: string;
  inputs: Record<string, unknown>;
  _meta?: { title: string };
}

export type ApiWorkflow = Record<string, ApiNode>;

/** Why a document stands for no workflow that could run. */
export class FormatError extends Error {}

const MAX_NODES = 200_000;

export function toApi(doc: Doc, catalogue: Catalogue): ApiWorkflow {
  const nodes: ApiWorkflow = {};
  for (const scope of expand(withoutGroupNodes(doc, catalogue, (name) => `workflow/${name}/inside`))) {
    for (const node of scope.level.nodes) {
      const mode = node.mode ?? NORMAL;
      const skipped = node.type === "Reroute" || node.type === "PrimitiveNode" || NOTES.has(node.type);
      if (skipped || mode === MUTED || mode === BYPASSED || scope.inner.has(String(node.id))) continue;
      const id = `${scope.prefix}${node.id}`;
      const api: ApiNode = { class_type: node.type, inputs: inputsOf(node, scope, catalogue) };
      if (node.title) api._meta = { title: node.title };
      nodes[id] = api;
    }
  }
  return nodes;
}

function inputsOf(node: GraphNode, scope: Scope, catalogue: Catalogue): Record<string, unknown> {
  const def = catalogue.get(node.type);
  const inputs = widgetValues(node, def);
  for (const [name, value] of Object.entries(scope.overrides.get(String(node.id)) ?? {})) {
    if (name in inputs) inputs[name] = value;
  }
  for (const name of Object.keys(inputs)) inputs[name] = literal(inputs[name]);
  (node.inputs ?? []).forEach((slot, index) => {
    const name = inputName(slot, def);
    const feed = feedOf(scope, node, index, catalogue);
    if (feed.kind === "removed") delete inputs[name];
    else if (feed.kind === "value") inputs[name] = literal(feed.value);
    else if (feed.kind === "link") inputs[name] = [feed.node, feed.slot];
  });
  return inputs;
}

/** A list would be read as a link. */
const literal = (value: unknown): unknown => (Array.isArray(value) ? { __value__: value } : value);

/** Slots may be relabelled; what a converted widget is called in the schema stays with the widget. */
function inputName(slot: InputSlot, def: NodeDef | undefined): string {
  const known = (name: string) => def?.inputs.some((input) => input.name === name);
  const widget = slot.widget?.name;
  return widget !== undefined && def && !known(slot.name) && known(widget) ? widget : slot.name;
}

/** One placed instance of a level. `holder` is the subgraph node in `parent` that stands for it. */
interface Scope {
  level: Level;
  prefix: string;
  inputId: string | null;
  outputId: string | null;
  parent: Scope | null;
  holder: GraphNode | null;
  /** Values of the holder's own widgets, by the name of its slot. */
  promoted: Record<string, unknown>;
  /** Values the holder gives to widgets of nodes inside. */
  overrides: Map<string, Record<string, unknown>>;
  inner: Map<string, Scope>;
}

function expand(doc: Doc): Scope[] {
  const definitions = subgraphs(doc);
  const root: Scope = {
    level: doc,
    prefix: "",
    inputId: null,
    outputId: null,
    parent: null,
    holder: null,
    promoted: {},
    overrides: new Map(),
    inner: new Map(),
  };
  const scopes = [root];
  let total = doc.nodes.length;
  for (const scope of scopes) {
    for (const node of scope.level.nodes) {
      const definition = definitions.get(node.type);
      const mode = node.mode ?? NORMAL;
      if (definition === undefined || mode === MUTED || mode === BYPASSED) continue;
      for (let outer: Scope | null = scope; outer; outer = outer.parent) {
        if (outer.level === definition) throw new FormatError(`The subgraph “${definition.name}” contains itself.`);
      }
      total += definition.nodes.length;
      if (total > MAX_NODES) throw new FormatError(`Laid out flat, the subgraphs make more than ${MAX_NODES} nodes.`);
      const inside = enter(scope, node, definition);
      scope.inner.set(String(node.id), inside);
      scopes.push(inside);
    }
  }
  return scopes;
}

function enter(scope: Scope, holder: GraphNode, definition: Subgraph): Scope {
  const promoted: Record<string, unknown> = {};
  const overrides = new Map<string, Record<string, unknown>>();
  for (const [inner, name, value] of namedValues(holder)) {
    if (value === null || value === undefined) continue; // the inner node keeps its own value
    if (inner === "-1") promoted[name] = value;
    else overrides.set(inner, { ...overrides.get(inner), [name]: value });
  }
  const own = new Set(ownSlots(holder).map(([, name]) => name));
  const lifted = new Map(
    proxies(holder).flatMap(([inner, name]) => (inner === "-1" || own.has(name) ? [] : [[name, inner] as const])),
  );
  for (const [name, value] of Object.entries(scope.overrides.get(String(holder.id)) ?? {})) {
    const inner = lifted.get(name);
    if (inner === undefined) promoted[name] = value;
    else overrides.set(inner, { ...overrides.get(inner), [name]: value }); // lifted twice: on to the node inside
  }
  return {
    level: definition,
    prefix: `${scope.prefix}${holder.id}:`,
    inputId: String(definition.inputNode?.id ?? -10),
    outputId: String(definition.outputNode?.id ?? -20),
    parent: scope,
    holder,
    promoted,
    overrides,
    inner: new Map(),
  };
}

type Feed =
  | { kind: "link"; node: string; slot: number }
  | { kind: "value"; value: unknown }
  /** Nothing comes this way: the widget's own value counts. */
  | { kind: "unlinked" }
  /** A muted node was to feed it: the input is taken out, widget and all. */
  | { kind: "removed" };

interface Hop {
  kind: "hop";
  scope: Scope;
  origin: string;
  slot: number;
  otherwise: Feed;
}

const UNLINKED: Feed = { kind: "unlinked" };

/** What really feeds an input: through reroutes, bypassed nodes and the walls of subgraphs. */
function feedOf(scope: Scope, node: GraphNode, index: number, catalogue: Catalogue): Feed {
  const wanted = node.inputs?.[index]?.type ?? "*";
  const walked = new Set<string>();
  const path: Feed[] = [];
  let found: Feed | Hop = hopTo(scope, node, index);
  while (found.kind === "hop") {
    const key = `${found.scope.prefix}${found.origin}/${found.slot}`;
    if (walked.has(key)) throw new FormatError(`Only a circle of nodes feeds “${node.title ?? node.type}”.`);
    walked.add(key);
    path.push(found.otherwise);
    found = follow(found, wanted, catalogue);
  }
  for (const otherwise of path.reverse()) if (found.kind === "unlinked") found = otherwise;
  return found;
}

function hopTo(scope: Scope, node: GraphNode, index: number | undefined, otherwise: Feed = UNLINKED): Feed | Hop {
  const id = index === undefined ? null : node.inputs?.[index]?.link;
  if (id === null || id === undefined) return otherwise;
  const link = linkAimedAt(scope.level, id, node.id, index as number);
  if (link === undefined) return otherwise;
  return { kind: "hop", scope, origin: String(link.origin_id), slot: link.origin_slot, otherwise };
}

/** Files hold links that are long gone, and sometimes two of one id: then the one aimed at this slot. */
function linkAimedAt(level: Level, id: Id, node: Id, slot: number) {
  const link = linksById(level).get(String(id));
  if (link === undefined || (String(link.target_id) === String(node) && link.target_slot === slot)) return link;
  const same = linksOf(level).filter((other) => String(other.id) === String(id));
  return same.findLast((other) => String(other.target_id) === String(node) && other.target_slot === slot) ?? link;
}

function follow(hop: Hop, wanted: string, catalogue: Catalogue): Feed | Hop {
  const { scope, origin, slot } = hop;
  if (scope.holder !== null && origin === scope.inputId) return throughWall(scope, slot);
  const node = nodesById(scope.level).get(origin);
  if (node === undefined) return { kind: "link", node: `${scope.prefix}${origin}`, slot };
  const mode = node.mode ?? NORMAL;
  if (node.type === "PrimitiveNode") return mode === MUTED ? UNLINKED : primitive(node);
  if (mode === MUTED) return { kind: "removed" };
  if (mode === BYPASSED) return hopTo(scope, node, bypass(node, slot, wanted, catalogue));
  if (node.type === "Reroute") return hopTo(scope, node, 0);
  const inside = scope.inner.get(origin);
  if (inside === undefined) return { kind: "link", node: `${scope.prefix}${origin}`, slot };
  const result = linksOf(inside.level).findLast(
    (link) => String(link.target_id) === inside.outputId && link.target_slot === slot,
  );
  if (result === undefined) return UNLINKED;
  return {
    kind: "hop",
    scope: inside,
    origin: String(result.origin_id),
    slot: result.origin_slot,
    otherwise: UNLINKED,
  };
}

/**
 * From a subgraph's input node out to what feeds that slot of the subgraph node. Sockets belong to the definition's
 * inputs by name, for newer files leave out those without a link; their place counts only where there are no names.
 */
function throughWall(scope: Scope, slot: number): Feed | Hop {
  const holder = scope.holder as GraphNode;
  const name = (scope.level as Subgraph).inputs?.[slot]?.name;
  const held = holder.inputs ?? [];
  const nameless = !name || held.every((input) => !input.name);
  const index = nameless ? (slot < held.length ? slot : -1) : held.findIndex((input) => input.name === name);
  const candidates = index < 0 ? [name] : [held[index]?.name, held[index]?.widget?.name, name];
  const key = candidates.find((candidate) => candidate !== undefined && candidate in scope.promoted);
  const own: Feed = key === undefined ? UNLINKED : { kind: "value", value: scope.promoted[key] };
  return index < 0 ? own : hopTo(scope.parent as Scope, holder, index, own);
}

function primitive(node: GraphNode): Feed {
  const values = node.widgets_values ?? [];
  const first = Array.isArray(values) ? values[0] : Object.values(values)[0];
  return first === null || first === undefined ? UNLINKED : { kind: "value", value: first };
}
