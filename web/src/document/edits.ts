/** Changes to a level of a workflow, as pure functions. Each keeps links, slots and counters in step. */

import { bypass } from "./bypass";
import {
  type Doc,
  fits,
  type GraphNode,
  type Group,
  type Id,
  type InputSlot,
  type Level,
  type LinkRecord,
  linksById,
  linksOf,
  nodesById,
  pair,
  position,
  type RawLink,
  type Subgraph,
  subgraphs,
} from "./document";
import { withoutLinks } from "./native_reroutes";
import { newReroute } from "./new_nodes";
import { retyped } from "./reroute_types";
import type { Catalogue } from "./schema";

/** The level that `path` leads to: the ids of the opened subgraph definitions, outermost first. */
export function levelAt(doc: Doc, path: readonly string[]): Level {
  const last = path.at(-1);
  return (last !== undefined && subgraphs(doc).get(last)) || doc;
}

export function changeLevel(doc: Doc, path: readonly string[], change: (level: Level) => Level): Doc {
  const last = path.at(-1);
  const before = levelAt(doc, path);
  const after = change(before);
  if (after === before) return doc;
  return last === undefined || before === doc ? (after as Doc) : withDefinition(doc, after as Subgraph);
}

/** The document with one definition replaced, wherever it is nested. */
export function withDefinition<T extends { definitions?: Doc["definitions"] }>(holder: T, changed: Subgraph): T {
  const listed = holder.definitions?.subgraphs;
  if (!listed) return holder;
  const replaced = listed.map((entry) => (entry.id === changed.id ? changed : withDefinition(entry as never, changed)));
  if (replaced.every((entry, index) => entry === listed[index])) return holder;
  return { ...holder, definitions: { ...holder.definitions, subgraphs: replaced } };
}

/** The document with every node mapped, including nodes in subgraphs; the same object if none changed. */
export function mapEveryNode(doc: Doc, change: (node: GraphNode, level: Level) => GraphNode): Doc {
  const mapped = <T extends Level>(level: T): T => {
    const nodes = level.nodes.map((node) => change(node, level));
    return nodes.every((node, index) => node === level.nodes[index]) ? level : { ...level, nodes };
  };
  let changed = mapped(doc);
  for (const definition of subgraphs(doc).values()) {
    const after = mapped(definition);
    // Nested definitions may have been replaced already.
    if (after !== definition)
      changed = withDefinition(changed, { ...subgraphs(changed).get(definition.id)!, nodes: after.nodes });
  }
  return changed;
}

export function mapNodes(level: Level, ids: ReadonlySet<string>, change: (node: GraphNode) => GraphNode): Level {
  let changed = false;
  const nodes = level.nodes.map((node) => {
    if (!ids.has(String(node.id))) return node;
    const after = change(node);
    changed ||= after !== node;
    return after;
  });
  return changed ? { ...level, nodes } : level;
}

export const mapNode = (level: Level, id: string, change: (node: GraphNode) => GraphNode): Level =>
  mapNodes(level, new Set([id]), change);

export function moveNodes(level: Level, to: ReadonlyMap<string, [number, number]>): Level {
  return mapNodes(level, new Set(to.keys()), (node) => {
    const [x, y] = to.get(String(node.id)) as [number, number];
    const [oldX, oldY] = position(node);
    return oldX === x && oldY === y ? node : { ...node, pos: [x, y] };
  });
}

/** `size` is what the file stores: the node's width, and its height without the header. */
export const resizeNode = (level: Level, id: string, size: [number, number]): Level =>
  mapNode(level, id, (node) => {
    const [width, height] = pair(node.size, [0, 0]);
    return width === size[0] && height === size[1] ? node : { ...node, size };
  });

/** The place of counters depends on the file's version. */
function counted(level: Level, kind: "node" | "link", value: number): Level {
  const state = level.state as Record<string, number> | undefined;
  const inState = kind === "node" ? "lastNodeId" : "lastLinkId";
  const flat = kind === "node" ? "last_node_id" : "last_link_id";
  if (state) return { ...level, state: { ...state, [inState]: Math.max(value, state[inState] ?? 0) } };
  return { ...level, [flat]: Math.max(value, Number(level[flat] ?? 0)) };
}

function lastId(level: Level, kind: "node" | "link"): number {
  const state = level.state as Record<string, number> | undefined;
  const said = Number(
    (kind === "node" ? (state?.lastNodeId ?? level.last_node_id) : (state?.lastLinkId ?? level.last_link_id)) ?? 0,
  );
  const entries: { id: Id }[] = kind === "node" ? level.nodes : linksOf(level);
  let last = Number.isFinite(said) ? said : 0;
  for (const { id } of entries) if (Number(id) > last) last = Number(id);
  return last;
}

export const nextNodeId = (level: Level): number => lastId(level, "node") + 1;

export function addNode(level: Level, node: GraphNode): Level {
  return counted(
    { ...level, nodes: [...level.nodes, { ...node, order: level.nodes.length }] },
    "node",
    Number(node.id) || 0,
  );
}

export interface Ends {
  origin: string;
  originSlot: number;
  target: string;
  /** An input slot, or the name of a widget that gets one. */
  targetSlot: number | string;
}

export interface Boundary {
  input: string;
  output: string;
}

export const boundaryOf = (level: Level): Boundary | null =>
  level.inputNode
    ? { input: String((level as Subgraph).inputNode.id), output: String((level as Subgraph).outputNode.id) }
    : null;

/** Link an output to an input; the input's old link is removed. The caller checks types and cycles. */
export function connect(level: Level, ends: Ends, widgetType = "*"): Level {
  const boundary = boundaryOf(level);
  let current = level;
  let slot = ends.targetSlot;
  if (typeof slot === "string") {
    const name = slot;
    const node = nodesById(current).get(ends.target);
    if (!node) return level;
    const index = (node.inputs ?? []).findIndex((input) => input.widget?.name === name || input.name === name);
    slot = index < 0 ? (node.inputs ?? []).length : index;
    if (index < 0) {
      const input: InputSlot = { name, type: widgetType, link: null, widget: { name } };
      current = mapNode(current, ends.target, (target) => ({ ...target, inputs: [...(target.inputs ?? []), input] }));
    }
  }
  const held = linksOf(current).find((link) => String(link.target_id) === ends.target && link.target_slot === slot);
  if (held) {
    if (String(held.origin_id) === ends.origin && held.origin_slot === ends.originSlot) return level;
    current = disconnect(current, [held.id]);
  }
  const id = lastId(current, "link") + 1;
  const type = outputType(current, ends.origin, ends.originSlot);
  const link: LinkRecord = {
    id,
    origin_id: ownId(current, ends.origin),
    origin_slot: ends.originSlot,
    target_id: ownId(current, ends.target),
    target_slot: slot,
    type,
  };
  current = { ...current, links: [...(current.links ?? []), written(current, link)] };
  current = mapNode(current, ends.origin, (node) => withOutputLinks(node, ends.originSlot, (links) => [...links, id]));
  current = mapNode(current, ends.target, (node) => withInputLink(node, slot as number, id));
  if (boundary) current = withPortLink(current as Subgraph, boundary, ends, slot, (links) => [...links, id]);
  return retyped(counted(current, "link", id), [link.origin_id, link.target_id]);
}

function outputType(level: Level, origin: string, slot: number): string {
  const boundary = boundaryOf(level);
  if (boundary && origin === boundary.input) return (level as Subgraph).inputs[slot]?.type ?? "*";
  return nodesById(level).get(origin)?.outputs?.[slot]?.type ?? "*";
}

const ownId = (level: Level, id: string): Id =>
  nodesById(level).get(id)?.id ?? (Number.isFinite(Number(id)) ? Number(id) : id);

function written(level: Level, link: LinkRecord): RawLink {
  const first = level.links?.[0];
  const asObject = first ? !Array.isArray(first) : level.inputNode !== undefined || Number(level.version ?? 0.4) >= 1;
  if (asObject) return link;
  return [link.id, link.origin_id, link.origin_slot, link.target_id, link.target_slot, link.type];
}

function withInputLink(node: GraphNode, slot: number, link: Id | null): GraphNode {
  const input = node.inputs?.[slot];
  return input && node.inputs ? { ...node, inputs: node.inputs.with(slot, { ...input, link }) } : node;
}

function withOutputLinks(node: GraphNode, slot: number, change: (links: Id[]) => Id[]): GraphNode {
  const output = node.outputs?.[slot];
  if (!output || !node.outputs) return node;
  const links = change(output.links ?? []);
  return { ...node, outputs: node.outputs.with(slot, { ...output, links: links.length ? links : null }) };
}

function withPortLink(
  level: Subgraph,
  boundary: Boundary,
  ends: { origin: string; originSlot: number; target: string },
  targetSlot: number,
  change: (links: Id[]) => Id[],
): Subgraph {
  const changed = (ports: Subgraph["inputs"], slot: number) =>
    ports.map((port, index) => (index === slot ? { ...port, linkIds: change(port.linkIds ?? []) } : port));
  let current = level;
  if (ends.origin === boundary.input) current = { ...current, inputs: changed(current.inputs, ends.originSlot) };
  if (ends.target === boundary.output) current = { ...current, outputs: changed(current.outputs, targetSlot) };
  return current;
}

export function disconnect(level: Level, ids: readonly Id[]): Level {
  const gone = new Set(ids.map(String));
  const lost = linksOf(level).filter((link) => gone.has(String(link.id)));
  if (!lost.length) return level;
  const boundary = boundaryOf(level);
  const keep = (link: RawLink) => link === null || !gone.has(String(Array.isArray(link) ? link[0] : link.id));
  let current: Level = { ...level, links: level.links.filter(keep) };
  const changes = new Map<string, (node: GraphNode) => GraphNode>();
  const also = (id: Id, change: (node: GraphNode) => GraphNode) => {
    const before = changes.get(String(id));
    changes.set(String(id), before ? (node) => change(before(node)) : change);
  };
  for (const link of lost) {
    const without = (links: Id[]) => links.filter((id) => String(id) !== String(link.id));
    also(link.origin_id, (node) => withOutputLinks(node, link.origin_slot, without));
    also(link.target_id, (node) =>
      String(node.inputs?.[link.target_slot]?.link) === String(link.id)
        ? withInputLink(node, link.target_slot, null)
        : node,
    );
    if (boundary) {
      const ends = { origin: String(link.origin_id), originSlot: link.origin_slot, target: String(link.target_id) };
      current = withPortLink(current as Subgraph, boundary, ends, link.target_slot, without);
    }
  }
  current = mapNodes(current, new Set(changes.keys()), (node) => changes.get(String(node.id))?.(node) ?? node);
  return retyped(
    withoutLinks(current, level, gone),
    lost.flatMap((link) => [link.origin_id, link.target_id]),
  );
}

/** Delete nodes. Links through a deleted node are joined where a bypass would pass the data on. */
export function deleteNodes(level: Level, chosen: ReadonlySet<string>, catalogue: Catalogue, relink = true): Level {
  const ids = new Set([...chosen].filter((id) => nodesById(level).has(id))); // not the two edge nodes of a subgraph
  let current = level;
  if (relink) for (const id of ids) current = passedOn(current, id, catalogue);
  const touched = linksOf(current).filter((link) => ids.has(String(link.origin_id)) || ids.has(String(link.target_id)));
  current = disconnect(
    current,
    touched.map((link) => link.id),
  );
  const nodes = current.nodes.filter((node) => !ids.has(String(node.id)));
  return nodes.length === current.nodes.length ? current : { ...current, nodes };
}

function passedOn(level: Level, id: string, catalogue: Catalogue): Level {
  const node = nodesById(level).get(id);
  if (!node) return level;
  let current = level;
  for (const link of linksOf(level).filter((candidate) => String(candidate.origin_id) === id)) {
    const input = bypass(node, link.origin_slot, link.type, catalogue);
    const feeder = input === undefined ? undefined : linksById(level).get(String(node.inputs?.[input]?.link));
    if (!feeder || !fits(link.type, feeder.type)) continue;
    current = connect(current, {
      origin: String(feeder.origin_id),
      originSlot: feeder.origin_slot,
      target: String(link.target_id),
      targetSlot: link.target_slot,
    });
  }
  return current;
}

/** Put a reroute on a link. */
export function addReroute(level: Level, linkId: Id, at: [number, number]): Level {
  const link = linksById(level).get(String(linkId));
  if (!link) return level;
  const id = nextNodeId(level);
  const target = { target: String(link.target_id), targetSlot: link.target_slot };
  let current = addNode(level, newReroute(id, at, link.type));
  current = connect(current, {
    origin: String(link.origin_id),
    originSlot: link.origin_slot,
    target: String(id),
    targetSlot: 0,
  });
  return connect(current, { origin: String(id), originSlot: 0, ...target });
}

export function addGroup(level: Level, group: Omit<Group, "id">): Level {
  const groups = level.groups ?? [];
  const id = Math.max(0, ...groups.map((entry) => Number(entry.id) || 0)) + 1;
  return { ...level, groups: [...groups, { id, ...group } as Group] };
}

export function changeGroup(level: Level, index: number, change: Partial<Group>): Level {
  const groups = level.groups ?? [];
  const group = groups[index];
  return group ? { ...level, groups: groups.with(index, { ...group, ...change }) } : level;
}
