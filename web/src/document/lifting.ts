/** The fields that a subgraph's node shows: of its own slots, and lifted out of nodes inside it. */

import { type Doc, type GraphNode, type Level, nodesById, type Subgraph, subgraphs } from "./document";
import { mapNode, mapNodes, withDefinition } from "./edits";
import { promotedNames } from "./promoted";
import type { InputDef } from "./schema";
import { type Surroundings, widgetViews } from "./widget_views";

export interface Shown {
  /** The id of the node inside; "-1": the subgraph node's own slot. */
  inner: string;
  name: string;
  /** null: the node inside keeps its own. */
  value: unknown;
}

export const OWN = "-1";

export function shown(holder: GraphNode): Shown[] {
  const values = holder.widgets_values ?? [];
  return promotedNames(holder).map(([inner, name], index) => ({
    inner,
    name,
    value: (Array.isArray(values) ? values[index] : values[name]) ?? null,
  }));
}

/** The node with exactly these fields. Slots that have a field and are not among them come first. */
export function withShown(holder: GraphNode, entries: readonly Shown[]): GraphNode {
  const own = (holder.inputs ?? []).flatMap((slot) => (slot.widget ? [slot.name] : []));
  const missing = own.filter((name) => !entries.some((entry) => entry.inner === OWN && entry.name === name));
  const plain = new Set((holder.inputs ?? []).flatMap((slot) => (slot.widget ? [] : [slot.name])));
  const all = [
    ...missing.map((name) => ({ inner: OWN, name, value: null })),
    ...entries.filter((entry) => entry.inner !== OWN || !plain.has(entry.name)),
  ];
  // Without a list the values belong to the sockets: what is lifted, or has no socket, needs one.
  const lifted = all.some((entry) => entry.inner !== OWN || !own.includes(entry.name));
  return {
    ...holder,
    properties: { ...holder.properties, proxyWidgets: lifted ? all.map(({ inner, name }) => [inner, name]) : [] },
    widgets_values: (lifted ? all : own.map((name) => all.find((entry) => entry.name === name))).map(
      (entry) => entry?.value ?? null,
    ),
  };
}

/** Every level of a document changed: its root, and the inside of each subgraph. */
export function mapLevels(doc: Doc, change: (level: Level) => Level): Doc {
  let after = change(doc) as Doc;
  for (const id of subgraphs(doc).keys()) {
    const before = subgraphs(after).get(id);
    if (!before) continue;
    const changed = change(before);
    if (changed !== before) after = withDefinition(after, changed as Subgraph);
  }
  return after;
}

/** All nodes that stand for a subgraph changed, wherever they are. */
export function mapHolders(doc: Doc, definition: string, change: (holder: GraphNode) => GraphNode): Doc {
  return mapLevels(doc, (level) => {
    const ids = new Set(level.nodes.flatMap((node) => (node.type === definition ? [String(node.id)] : [])));
    return ids.size ? mapNodes(level, ids, change) : level;
  });
}

export const isLifted = (holder: GraphNode, inner: string, name: string): boolean =>
  shown(holder).some((entry) => entry.inner === inner && entry.name === name);

/** Show a field of a node inside on all nodes that stand for the subgraph, or no longer. */
export function lift(doc: Doc, definition: string, inner: string, name: string, on: boolean): Doc {
  return mapHolders(doc, definition, (holder) => {
    if (isLifted(holder, inner, name) === on) return holder;
    const entries = shown(holder);
    return withShown(
      holder,
      on
        ? [...entries, { inner, name, value: null }]
        : entries.filter((entry) => entry.inner !== inner || entry.name !== name),
    );
  });
}

export interface Liftable {
  node: GraphNode;
  name: string;
  input: InputDef;
}

/** The fields inside a subgraph that nothing is linked to. */
export function liftable(definition: Subgraph, around: Surroundings): Liftable[] {
  return definition.nodes.flatMap((node) =>
    widgetViews(node, around).flatMap(({ input, linked, key }) =>
      linked || node.type === "PrimitiveNode"
        ? []
        : [{ node, name: key.includes("/") ? key.slice(key.indexOf("/") + 1) : input.name, input }],
    ),
  );
}

/** What one wants at hand: prompts, seeds, pictures. */
export const isWanted = ({ input }: Liftable): boolean =>
  input.widget === "multiline" || input.widget === "image" || input.controlled;

/** The node that a lifted field really belongs to, through subgraphs inside subgraphs. */
export function sourceOf(
  doc: Doc,
  definition: Subgraph,
  inner: string,
  name: string,
): { node: GraphNode; level: Subgraph; name: string } | null {
  let level = definition;
  let id = inner;
  for (let depth = 0; depth < 50; depth += 1) {
    const node = nodesById(level).get(id);
    if (!node) return null;
    const inside = subgraphs(doc).get(node.type);
    if (!inside) return { node, level, name };
    const next = promotedNames(node).find(([, given]) => given === name);
    if (!next || next[0] === OWN) return null;
    [level, id] = [inside, next[0]];
  }
  return null;
}

/** How many nodes stand for a subgraph. */
export function uses(doc: Doc, definition: string): number {
  return [doc as Level, ...subgraphs(doc).values()].reduce(
    (sum, level) => sum + level.nodes.filter((node) => node.type === definition).length,
    0,
  );
}

/** Whether one of some subgraphs is, or has inside it to any depth, one of others. */
export function holds(doc: Doc, types: Iterable<string>, wanted: ReadonlySet<string>): boolean {
  const definitions = subgraphs(doc);
  const seen = new Set(types);
  for (const type of seen) {
    if (wanted.has(type)) return true;
    for (const node of definitions.get(type)?.nodes ?? []) seen.add(node.type); // a Set goes on to what is added
  }
  return false;
}

/** The node with a subgraph of its own, so that changes inside it stay there. `id`: of the new definition. */
export function madeUnique(
  doc: Doc,
  change: (doc: Doc, edit: (level: Level) => Level) => Doc,
  holder: GraphNode,
  id: string,
): Doc {
  const definition = subgraphs(doc).get(holder.type);
  if (!definition) return doc;
  const copy: Subgraph = { ...definition, id };
  const listed = {
    ...doc,
    definitions: { ...doc.definitions, subgraphs: [...(doc.definitions?.subgraphs ?? []), copy] },
  };
  return change(listed, (level) => mapNode(level, String(holder.id), (node) => ({ ...node, type: id })));
}
