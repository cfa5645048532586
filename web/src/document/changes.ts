/** Says what differs between two states of a document, for the list of undo steps. */

import { type Doc, type GraphNode, type Level, linksOf, subgraphs } from "./document";

export type ChangeKind =
  | "added"
  | "removed"
  | "moved"
  | "values"
  | "links"
  | "nodes"
  | "groups"
  | "subgraphs"
  | "other";

export interface Change {
  kind: ChangeKind;
  /** The nodes that it is about; the first ones if they are many. */
  nodes: readonly GraphNode[];
  /** How many nodes. */
  count: number;
}

const MOST_NODES = 3;

/** The most important difference between two states. */
export function changeBetween(before: Doc, after: Doc): Change {
  const levels: [Level, Level][] = [[before, after]];
  const earlier = subgraphs(before);
  for (const [id, definition] of subgraphs(after)) {
    const old = earlier.get(id);
    if (old && old !== definition) levels.push([old, definition]);
  }
  for (const [old, now] of levels) {
    const found = changeOf(old, now);
    if (found) return found;
  }
  const sameSubgraphs = earlier.size === subgraphs(after).size && before.definitions === after.definitions;
  return { kind: sameSubgraphs ? "other" : "subgraphs", nodes: [], count: 0 };
}

function changeOf(before: Level, after: Level): Change | null {
  const [old, now] = [byId(before), byId(after)];
  const change = (kind: ChangeKind, nodes: GraphNode[]): Change | null =>
    nodes.length ? { kind, nodes: nodes.slice(0, MOST_NODES), count: nodes.length } : null;
  const pairs = after.nodes.flatMap((node) => {
    const earlier = old.get(String(node.id));
    return earlier && earlier !== node ? [[earlier, node] as const] : [];
  });
  const differing = (...names: (keyof GraphNode)[]) =>
    pairs.flatMap(([earlier, node]) =>
      names.some((name) => JSON.stringify(exact(earlier[name])) !== JSON.stringify(exact(node[name]))) ? [node] : [],
    );
  const links = (level: Level) =>
    JSON.stringify(linksOf(level).map((link) => [link.origin_id, link.origin_slot, link.target_id, link.target_slot]));
  return (
    change(
      "added",
      after.nodes.filter((node) => !old.has(String(node.id))),
    ) ??
    change(
      "removed",
      before.nodes.filter((node) => !now.has(String(node.id))),
    ) ??
    change("values", differing("widgets_values")) ??
    (links(before) === links(after) ? null : { kind: "links", nodes: [], count: 0 }) ??
    change("moved", differing("pos", "size")) ??
    (before.groups === after.groups ? null : { kind: "groups", nodes: [], count: 0 }) ??
    change("nodes", differing("title", "mode", "flags", "color", "bgcolor", "properties"))
  );
}

const byId = (level: Level): Map<string, GraphNode> => new Map(level.nodes.map((node) => [String(node.id), node]));

/** Values in a form that JSON can hold: seeds may be larger than numbers. */
const exact = (value: unknown): unknown => {
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return value.map(exact);
  return value;
};
