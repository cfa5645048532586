/**
 * Converts a document to the API dialect, which the server runs.
 *
 * Node n inside the subgraph node p gets the id `p:n`, to any depth. Muted nodes are left out, and so are
 * the inputs they feed. Links pass through bypassed nodes, reroutes and primitives.
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
import { isDynamic } from "../document/dynamic_inputs";
import { withoutGroupNodes } from "../document/group_conversion";
import { namedValues, ownSlots, proxies } from "../document/promoted";
import type { Catalogue, NodeDef } from "../document/schema";
import { chosenInputs, shownInputs, widgetValues, withWidget } from "../document/widget_values";

export interface ApiNode {
  class_type: string;
  inputs: Record<string, unknown>;
  _meta?: { title: string };
}

export type ApiWorkflow = Record<string, ApiNode>;

/** The reason why a document cannot be run. */
export class FormatError extends Error {}

const MAX_NODES = 200_000;

export function toApi(doc: Doc, catalogue: Catalogue, placed: PlacedNode[] = placedNodes(doc, catalogue)): ApiWorkflow {
  const nodes: ApiWorkflow = {};
  for (const { id, node, inputs, runs } of placed) {
    if (!runs || inputs === null) continue;
    const api: ApiNode = { class_type: node.type, inputs };
    if (node.title) api._meta = { title: node.title };
    nodes[id] = api;
  }
  return nodes;
}

/** A node of any level. `prefix` is the start of the ids in its subgraph. */
export interface PlacedNode {
  id: string;
  prefix: string;
  node: GraphNode;
  runs: boolean;
  /** Its inputs in the API dialect; the values that a subgraph's node gives to its inside; null: nothing of it runs. */
  inputs: Record<string, unknown> | null;
}

/** The nodes of all levels, with group nodes opened like subgraphs. */
export function placedNodes(doc: Doc, catalogue: Catalogue): PlacedNode[] {
  return expand(withoutGroupNodes(doc, catalogue, (name) => `workflow/${name}/inside`)).flatMap((scope) =>
    scope.level.nodes.map((node) => {
      const mode = node.mode ?? NORMAL;
      const inside = scope.inner.get(String(node.id));
      const skipped = node.type === "Reroute" || node.type === "PrimitiveNode" || NOTES.has(node.type);
      const runs = !(skipped || mode === MUTED || mode === BYPASSED || inside !== undefined);
      const given = inside ? Object.assign({}, ...inside.overrides.values(), inside.promoted) : null;
      const inputs = runs ? inputsOf(node, scope, catalogue) : given;
      return { id: `${scope.prefix}${node.id}`, prefix: scope.prefix, node, runs, inputs };
    }),
  );
}

function inputsOf(node: GraphNode, scope: Scope, catalogue: Catalogue): Record<string, unknown> {
  const def = catalogue.get(node.type);
  const overrides = Object.entries(scope.overrides.get(String(node.id)) ?? {});
  const inputs = widgetValues(withChoices(node, def, overrides), def);
  for (const [name, value] of overrides) {
    if (name in inputs) inputs[name] = value;
  }
  for (const name of Object.keys(inputs)) inputs[name] = literal(inputs[name]);
  (node.inputs ?? []).forEach((slot, index) => {
    const name = inputName(slot, node, def);
    const feed = feedOf(scope, node, index, catalogue);
    if (feed.kind === "removed") delete inputs[name];
    else if (feed.kind === "value") inputs[name] = literal(feed.value);
    else if (feed.kind === "link") inputs[name] = [feed.node, feed.slot];
  });
  return inputs;
}

/** The node with the choices that a subgraph's node sets: they decide which inputs it has. */
function withChoices(node: GraphNode, def: NodeDef | undefined, overrides: [string, unknown][]): GraphNode {
  if (!def || !overrides.length || !isDynamic(def)) return node;
  return overrides.reduce((now, [name, value]) => {
    const choice = chosenInputs(now, def).find((input) => input.name === name && input.options);
    return choice ? withWidget(now, def, name, value) : now;
  }, node);
}

/** The server would read a plain list as a link. */
const literal = (value: unknown): unknown => (Array.isArray(value) ? { __value__: value } : value);

/** Returns the slot's name in the schema. A slot may be relabelled; a converted widget keeps the schema's name. */
function inputName(slot: InputSlot, node: GraphNode, def: NodeDef | undefined): string {
  const known = (name: string) => def && shownInputs(node, def).some((input) => input.name === name);
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
  /** Values from the holder for widgets of inner nodes. */
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
      if (total > MAX_NODES) throw new FormatError(`The subgraphs expand to more than ${MAX_NODES} nodes.`);
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
    else overrides.set(inner, { ...overrides.get(inner), [name]: value }); // promoted twice: pass it on to the inner node
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
  /** The link leads to no output: the widget's own value is used. */
  | { kind: "unlinked" }
  /** The source is a muted node: the input is left out, including its widget's value. */
  | { kind: "removed" };

interface Hop {
  kind: "hop";
  scope: Scope;
  origin: string;
  slot: number;
  otherwise: Feed;
}

const UNLINKED: Feed = { kind: "unlinked" };

/** The real source of an input, found through reroutes, bypassed nodes and subgraph boundaries. */
function feedOf(scope: Scope, node: GraphNode, index: number, catalogue: Catalogue): Feed {
  const wanted = node.inputs?.[index]?.type ?? "*";
  const walked = new Set<string>();
  const path: Feed[] = [];
  let found: Feed | Hop = hopTo(scope, node, index);
  while (found.kind === "hop") {
    const key = `${found.scope.prefix}${found.origin}/${found.slot}`;
    if (walked.has(key)) throw new FormatError(`The nodes that feed “${node.title ?? node.type}” form a circle.`);
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
  const link = linkInto(scope.level, id, node.id, index as number);
  if (link === undefined) return otherwise;
  return { kind: "hop", scope, origin: String(link.origin_id), slot: link.origin_slot, otherwise };
}

/** Files refer to links that no longer exist, and some have two links with one id: then the one to this slot counts. */
function linkInto(level: Level, id: Id, node: Id, slot: number) {
  const link = linksById(level).get(String(id));
  if (link === undefined || (String(link.target_id) === String(node) && link.target_slot === slot)) return link;
  const same = linksOf(level).filter((other) => String(other.id) === String(id));
  return same.findLast((other) => String(other.target_id) === String(node) && other.target_slot === slot) ?? link;
}

function follow(hop: Hop, wanted: string, catalogue: Catalogue): Feed | Hop {
  const { scope, origin, slot } = hop;
  if (scope.holder !== null && origin === scope.inputId) return throughBoundary(scope, slot);
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
 * Go from a subgraph's input node to the source of that slot of the subgraph node. Sockets are matched to the
 * definition's inputs by name, since newer files leave out unlinked ones; the index counts only if there are no names.
 */
function throughBoundary(scope: Scope, slot: number): Feed | Hop {
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
