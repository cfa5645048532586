/** Places for the nodes of a messy graph: left to right in the direction of data, groups kept together. */

import dagre from "@dagrejs/dagre";
import { type Group, type Level, linksOf } from "./document";
import { bounds, GRID, geometry, HEADER, placedNodes } from "./geometry";
import { GROUP_TITLE, membersOf } from "./grouping";
import type { Surroundings } from "./widget_views";

export interface Arrangement {
  /** By node, as files have it: under the header. */
  nodes: Map<string, [number, number]>;
  /** By the index of a group: the box around what was in it. */
  boxes: Map<number, Group["bounding"]>;
}

const MARGIN = 16;

/** `only`: the rest stays where it is, groups too. */
export function arranged(level: Level, around: Surroundings, only?: ReadonlySet<string>): Arrangement {
  const graph = new dagre.graphlib.Graph({ multigraph: true, compound: true });
  graph.setGraph({ rankdir: "LR", nodesep: 36, ranksep: 72 });
  graph.setDefaultEdgeLabel(() => ({}));
  const places = new Map(
    placedNodes(level).flatMap((node) =>
      !only || only.has(String(node.id)) ? [[String(node.id), geometry(node, around)]] : [],
    ),
  );
  if (!places.size) return { nodes: new Map(), boxes: new Map() };
  for (const [id, { width, height }] of places) graph.setNode(id, { width, height });
  const members = only ? new Map<number, string[]>() : innermost(level, around);
  for (const [index, ids] of members) {
    if (!ids.length) continue;
    graph.setNode(groupId(index), {});
    for (const id of ids) graph.setParent(id, groupId(index));
  }
  for (const link of linksOf(level)) {
    const [origin, target] = [String(link.origin_id), String(link.target_id)];
    if (places.has(origin) && places.has(target)) graph.setEdge(origin, target, {}, String(link.id));
  }
  dagre.layout(graph);
  const before = bounds(places.values()) as { x: number; y: number };
  const found = [...places].map(([id, { width, height }]) => {
    const { x, y } = graph.node(id) as { x: number; y: number };
    return { id, x: x - width / 2, y: y - height / 2 };
  });
  const left = before.x - Math.min(...found.map(({ x }) => x));
  const top = before.y - Math.min(...found.map(({ y }) => y));
  const snap = (value: number) => Math.round(value / GRID) * GRID;
  const corners = new Map(found.map(({ id, x, y }) => [id, [snap(x + left), snap(y + top)] as [number, number]]));
  const nodes = new Map(
    [...corners].map(([id, [x, y]]) => [
      id,
      [x, y + (places.get(id)?.look === "reroute" ? 0 : HEADER)] as [number, number],
    ]),
  );
  return { nodes, boxes: only ? new Map() : boxesOf(level, around, corners) };
}

const groupId = (index: number) => `group\u0000${index}`;

/** Every node with the smallest group it is in; dagre knows no overlapping ones. */
function innermost(level: Level, around: Surroundings): Map<number, string[]> {
  const bySize = (level.groups ?? [])
    .map((group, index) => ({ group, index }))
    .sort((first, second) => area(first.group) - area(second.group));
  const taken = new Set<string>();
  const found = new Map<number, string[]>();
  for (const { group, index } of bySize) {
    const ids = membersOf(level, around, group).filter((id) => !taken.has(id));
    for (const id of ids) taken.add(id);
    found.set(index, ids);
  }
  return found;
}

const area = ({ bounding: [, , width, height] }: Group) => width * height;

function boxesOf(
  level: Level,
  around: Surroundings,
  corners: ReadonlyMap<string, [number, number]>,
): Arrangement["boxes"] {
  const boxes: Arrangement["boxes"] = new Map();
  const byId = new Map(placedNodes(level).map((node) => [String(node.id), node]));
  (level.groups ?? []).forEach((group, index) => {
    const inside = membersOf(level, around, group).flatMap((id) => {
      const [node, corner] = [byId.get(id), corners.get(id)];
      return node && corner ? [{ ...geometry(node, around), x: corner[0], y: corner[1] }] : [];
    });
    const box = bounds(inside);
    if (box)
      boxes.set(index, [
        box.x - MARGIN,
        box.y - MARGIN - GROUP_TITLE,
        box.width + 2 * MARGIN,
        box.height + 2 * MARGIN + GROUP_TITLE,
      ]);
  });
  return boxes;
}
