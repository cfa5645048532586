/** Moves the selection: nodes, groups with their contents, and the two edge nodes of a subgraph. */

import { type Level, nodesById, type Subgraph } from "../document/document";
import { boundaryOf, moveNodes } from "../document/edits";
import { GRID, geometry, HEADER, placedNodes } from "../document/geometry";
import { groupsWithin, membersOf, moveGroups } from "../document/grouping";
import { linksThrough, moveReroutes, pointOf, reroutesById } from "../document/native_reroutes";
import { current, edit, editContext, levelOf } from "./editor";
import { useSettings } from "./settings";

export const snapped = (value: number): number => Math.round(value / GRID) * GRID;

/** Snaps to the grid, if that is switched on. */
export const placed = (value: number): number => (useSettings.getState().snap ? snapped(value) : Math.round(value));

/** The positions of nodes and groups; nodes in the form of files: below the header. */
export interface Places {
  nodes: Map<string, [number, number]>;
  groups: Map<number, [number, number]>;
  /** The reroute points of links. */
  reroutes: Map<string, [number, number]>;
}

/** Everything that moves with nodes and groups: contents of the groups, and reroute points of links between them. */
export function carried(nodes: Iterable<string>, groups: Iterable<number>): Places {
  const level = levelOf(current());
  const around = editContext();
  const ids = new Set(nodes);
  const indexes = new Set(groups);
  for (const index of [...indexes]) {
    const group = level.groups?.[index];
    if (!group) indexes.delete(index);
    else for (const id of membersOf(level, around, group)) ids.add(id);
    for (const within of groupsWithin(level, index)) indexes.add(within);
  }
  const at: Places = { nodes: new Map(), groups: new Map(), reroutes: new Map() };
  for (const node of placedNodes(level)) {
    if (!ids.has(String(node.id))) continue;
    const place = geometry(node, around);
    at.nodes.set(String(node.id), [place.x, place.y + (place.look === "reroute" ? 0 : HEADER)]);
  }
  for (const index of indexes) {
    const [x, y] = level.groups?.[index]?.bounding ?? [0, 0];
    at.groups.set(index, [x, y]);
  }
  for (const [id, reroute] of reroutesById(level)) {
    const links = linksThrough(level, id);
    const { x, y } = pointOf(reroute);
    if (links.length && links.every((link) => ids.has(String(link.origin_id)) && ids.has(String(link.target_id))))
      at.reroutes.set(id, [x, y]);
  }
  return at;
}

export const move = (to: Places, kind: string | null = "move"): void => edit((level) => moved(level, to), kind);

export function moved(level: Level, { nodes, groups, reroutes }: Places): Level {
  let after = moveReroutes(moveGroups(moveNodes(level, nodes), groups), reroutes);
  for (const [id, [x, y]] of nodes)
    if (isBoundary(level, id)) after = moveBoundary(after as Subgraph, id, x, y - HEADER);
  return after;
}

export const shifted = ({ nodes, groups, reroutes }: Places, dx: number, dy: number): Places => {
  const by = ([x, y]: [number, number]): [number, number] => [x + dx, y + dy];
  return {
    nodes: new Map([...nodes].map(([id, at]) => [id, by(at)])),
    groups: new Map([...groups].map(([index, at]) => [index, by(at)])),
    reroutes: new Map([...reroutes].map(([id, at]) => [id, by(at)])),
  };
};

export const isBoundary = (level: Level, id: string): boolean => {
  const boundary = boundaryOf(level);
  return boundary !== null && (id === boundary.input || id === boundary.output) && !nodesById(level).has(id);
};

function moveBoundary(level: Subgraph, id: string, x: number, y: number): Subgraph {
  const side = String(level.inputNode.id) === id ? "inputNode" : "outputNode";
  const [, , width = 140, height = 80] = level[side].bounding ?? [];
  return { ...level, [side]: { ...level[side], bounding: [x, y, width, height] } };
}
