/** The fields on a subgraph's node: for its own slots, and promoted from inner nodes. */

import { type Doc, type GraphNode, type Level, linksOf, nodesById, type Subgraph, subgraphs } from "./document";
import { mapNode, mapNodes, withDefinition } from "./edits";
import { promotedNames } from "./promoted";
import type { InputDef } from "./schema";
import { type EditContext, widgetViews } from "./widget_views";

export interface Shown {
  /** The id of the inner node; "-1": the subgraph node's own slot. */
  inner: string;
  name: string;
  /** null: the inner node keeps its own value. */
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

/** The node with exactly these fields. Slots that have a field but are not listed come first. */
export function withShown(holder: GraphNode, entries: readonly Shown[]): GraphNode {
  const own = (holder.inputs ?? []).flatMap((slot) => (slot.widget ? [slot.name] : []));
  const missing = own.filter((name) => !entries.some((entry) => entry.inner === OWN && entry.name === name));
  const plain = new Set((holder.inputs ?? []).flatMap((slot) => (slot.widget ? [] : [slot.name])));
  const all = [
    ...missing.map((name) => ({ inner: OWN, name, value: null })),
    ...entries.filter((entry) => entry.inner !== OWN || !plain.has(entry.name)),
  ];
  // Without a list, the values belong to the sockets; promoted fields and fields without a socket need the list.
  const lifted = all.some((entry) => entry.inner !== OWN || !own.includes(entry.name));
  return {
    ...holder,
    properties: { ...holder.properties, proxyWidgets: lifted ? all.map(({ inner, name }) => [inner, name]) : [] },
    widgets_values: (lifted ? all : own.map((name) => all.find((entry) => entry.name === name))).map(
      (entry) => entry?.value ?? null,
    ),
  };
}

/** The document with every level mapped: its root and the inside of each subgraph. */
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

/** The document with all nodes of a subgraph mapped, wherever they are. */
export function mapHolders(doc: Doc, definition: string, change: (holder: GraphNode) => GraphNode): Doc {
  return mapLevels(doc, (level) => {
    const ids = new Set(level.nodes.flatMap((node) => (node.type === definition ? [String(node.id)] : [])));
    return ids.size ? mapNodes(level, ids, change) : level;
  });
}

export const isLifted = (holder: GraphNode, inner: string, name: string): boolean =>
  shown(holder).some((entry) => entry.inner === inner && entry.name === name);

/** Show or hide an inner node's field on all nodes of the subgraph. */
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

/** The unlinked fields inside a subgraph. */
export function liftable(definition: Subgraph, env: EditContext): Liftable[] {
  return definition.nodes.flatMap((node) =>
    widgetViews(node, env).flatMap(({ input, linked, key }) =>
      linked || node.type === "PrimitiveNode"
        ? []
        : [{ node, name: key.includes("/") ? key.slice(key.indexOf("/") + 1) : input.name, input }],
    ),
  );
}

/** Fields that people change often: prompts, seeds, pictures. */
export const isWanted = ({ input }: Liftable): boolean =>
  input.widget === "multiline" || input.widget === "image" || input.controlled;

/** The node that a promoted field really belongs to, through nested subgraphs; `inner` is `OWN` for a field of a slot. */
export function sourceOf(
  doc: Doc,
  definition: Subgraph,
  inner: string,
  name: string,
): { node: GraphNode; level: Subgraph; name: string } | null {
  let at = { level: definition, id: inner, name };
  for (let depth = 0; depth < 50; depth += 1) {
    const behind = at.id === OWN ? behindPort(at.level, at.name) : at;
    const node = behind && nodesById(at.level).get(behind.id);
    if (!node) return null;
    const inside = subgraphs(doc).get(node.type);
    if (!inside) return { node, level: at.level, name: behind.name };
    const next = promotedNames(node).find(([, given]) => given === behind.name);
    if (!next) return null;
    at = { level: inside, id: next[0], name: behind.name };
  }
  return null;
}

/** The first input inside that a port of a subgraph feeds. */
function behindPort(level: Subgraph, port: string): { id: string; name: string } | null {
  const slot = (level.inputs ?? []).findIndex(({ name }) => name === port);
  const link = linksOf(level).find(
    ({ origin_id, origin_slot }) => String(origin_id) === String(level.inputNode.id) && origin_slot === slot,
  );
  const target = link && nodesById(level).get(String(link.target_id))?.inputs?.[link.target_slot];
  return target ? { id: String(link.target_id), name: target.widget?.name ?? target.name } : null;
}

/** The number of nodes of a subgraph. */
export function uses(doc: Doc, definition: string): number {
  return [doc as Level, ...subgraphs(doc).values()].reduce(
    (sum, level) => sum + level.nodes.filter((node) => node.type === definition).length,
    0,
  );
}

/** Whether one of these subgraphs is, or contains at any depth, one of the others. */
export function holds(doc: Doc, types: Iterable<string>, wanted: ReadonlySet<string>): boolean {
  const definitions = subgraphs(doc);
  const seen = new Set(types);
  for (const type of seen) {
    if (wanted.has(type)) return true;
    for (const node of definitions.get(type)?.nodes ?? []) seen.add(node.type); // a Set's loop includes added items
  }
  return false;
}

/** The node with its own copy of the subgraph, so that changes inside it stay there. `id`: of the new definition. */
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
