/** Plans a layered drawing: the column of each node, the lanes of long links, and the order of both from top to bottom. */

import type { Id } from "../document";
import { type Geometry, socket } from "../geometry";
import type { Block } from "./heights";
import { type Choice, layersOf } from "./layers";
import { type Child, type Cluster, type Container, reorder, type Segment } from "./order";

/** The height of a link's lane. */
export const LANE = 14;

/** A link between two of the nodes. */
export interface Wire {
  id: Id;
  from: string;
  to: string;
  slots: [number, number];
}

/** A group with nodes. */
export interface Framed {
  index: number;
  members: string[];
  /** The smallest group around it. */
  outer: number | null;
}

/** Above this number of blocks, only one plan is made: others take long, and nobody sees their differences. */
const MOST_COMPARED = 300;

/** The first plan without crossings, or the one with the fewest. */
export function bestPlan(
  before: ReadonlyMap<string, Geometry>,
  wires: readonly Wire[],
  groups: readonly Framed[],
): Plan {
  const plans: { plan: Plan; count: number }[] = [];
  const tried = new Set<string>();
  for (const choice of ["short", "early", "late"] as const) {
    const layers = columnsOf(before, wires, groups, choice);
    for (const inside of [true, false]) {
      const plan = planned(before, wires, layers, groups, inside);
      const key = JSON.stringify([...layers, plan.root]);
      if (tried.has(key)) continue;
      tried.add(key);
      const count = reorder(plan.root, plan.segments);
      if (count === 0 || plan.blocks.length > MOST_COMPARED) return plan;
      plans.push({ plan, count });
    }
  }
  return plans.reduce((least, other) => (other.count < least.count ? other : least)).plan;
}

/** The column of every node. Nodes without links join the column near which they are. */
function columnsOf(
  places: ReadonlyMap<string, Geometry>,
  wires: readonly Wire[],
  groups: readonly Framed[],
  choice: Choice,
): Map<string, number> {
  const x = (id: string) => places.get(id)?.x ?? 0;
  const layers = layersOf(
    [...places.keys()].sort((one, other) => x(one) - x(other)),
    wires,
    choice,
  );
  const last = Math.max(0, ...layers.values());
  for (const [id, { look, inputs }] of places) {
    if (look !== "boundary") continue;
    const opens = inputs.length === 0;
    layers.set(id, opens ? -1 : last + 1);
  }
  const linked = [...layers.keys()];
  for (const id of places.keys()) {
    if (layers.has(id)) continue;
    const group = groups.find(({ members }) => members.includes(id));
    const near = linked.filter((other) => !group || group.members.includes(other));
    const distance = (other: string) => Math.abs(x(other) - x(id));
    const nearest = near.length
      ? near.reduce((best, other) => (distance(other) < distance(best) ? other : best))
      : null;
    layers.set(id, nearest === null ? 0 : (layers.get(nearest) as number));
  }
  const used = [...new Set(layers.values())].sort((one, other) => one - other);
  return new Map([...layers].map(([id, layer]) => [id, used.indexOf(layer)]));
}

export interface Plan {
  layers: ReadonlyMap<string, number>;
  root: Container;
  blocks: Block[];
  segments: Segment[];
  /** The block of each node. */
  index: Map<string, number>;
  /** The blocks of each link's lane, from its origin. */
  lanes: Map<Id, number[]>;
}

/**
 * The blocks of a drawing: every node and a lane for each link that passes through columns, in a tree of groups.
 * `inside`: lanes run inside the groups of their ends where they can, else outside.
 */
function planned(
  places: ReadonlyMap<string, Geometry>,
  wires: readonly Wire[],
  layers: ReadonlyMap<string, number>,
  groups: readonly Framed[],
  inside: boolean,
): Plan {
  const root: Container = { children: [] };
  const clusters = new Map<number, Cluster>(groups.map(({ index }) => [index, { group: index, children: [] }]));
  const spans = spansOf(groups, layers);
  const pathOf = pathsOf(groups);
  const blocks: Block[] = [];
  const heights: number[] = [];
  const add = (block: Block, y: number, group: number | null): number => {
    const holder = group === null ? root : (clusters.get(group) as Container);
    holder.children.push({ index: blocks.length });
    heights.push(y);
    return blocks.push(block) - 1;
  };
  const index = new Map<string, number>();
  for (const [id, { y, height }] of places) {
    const layer = layers.get(id) as number;
    index.set(id, add({ first: layer, last: layer, height, lane: false }, y + height / 2, pathOf(id)[0] ?? null));
  }
  const lanes = new Map<Id, number[]>();
  const segments: Segment[] = [];
  for (const { id, from, to, slots } of wires) {
    const [origin, target] = [places.get(from) as Geometry, places.get(to) as Geometry];
    const [first, last] = [layers.get(from) as number, layers.get(to) as number];
    if (first >= last) continue;
    const [start, end] = [socket(origin, "output", slots[0]), socket(target, "input", slots[1])];
    const [leaving, entering] = [pathOf(from), pathOf(to)];
    const within = (layer: number): number | null => {
      const spanning = (group: number) => {
        const [begin, close] = spans.get(group) as [number, number];
        return begin <= layer && layer <= close;
      };
      const shared = leaving.find((group) => entering.includes(group)) ?? null;
      return inside ? (entering.find(spanning) ?? leaving.find(spanning) ?? shared) : shared;
    };
    let at = { block: index.get(from) as number, y: start.y - origin.y };
    const pieces: number[] = [];
    for (let layer = first + 1; layer < last; layer += 1) {
      const group = within(layer);
      const same = layer > first + 1 && group === within(layer - 1);
      if (same) (blocks[at.block] as Block).last = layer;
      else pieces.push(add({ first: layer, last: layer, height: LANE, lane: true }, (start.y + end.y) / 2, group));
      const block = pieces.at(-1) as number;
      segments.push({ layer: layer - 1, from: at.block, fromY: at.y, to: block, toY: LANE / 2 });
      at = { block, y: LANE / 2 };
    }
    const arrival = { to: index.get(to) as number, toY: end.y - target.y };
    segments.push({ layer: last - 1, from: at.block, fromY: at.y, ...arrival });
    if (pieces.length) lanes.set(id, pieces);
  }
  for (const { index: group, outer } of groups) {
    const holder = outer === null ? root : (clusters.get(outer) as Container);
    holder.children.push(clusters.get(group) as Cluster);
  }
  sortBy(root, heights);
  return { layers, root, blocks, segments, lanes, index };
}

/** Returns the groups around a node, from the innermost. */
function pathsOf(groups: readonly Framed[]): (id: string) => number[] {
  const outer = new Map(groups.map((group) => [group.index, group.outer]));
  const innermost = new Map(groups.flatMap(({ index, members }) => members.map((id) => [id, index] as const)));
  return (id) => {
    const path: number[] = [];
    for (let at = innermost.get(id) ?? null; at !== null; at = outer.get(at) ?? null) path.push(at);
    return path;
  };
}

/** The first and last column of each group. */
export function spansOf(groups: readonly Framed[], layers: ReadonlyMap<string, number>): Map<number, [number, number]> {
  const spans = new Map<number, [number, number]>();
  const widen = (group: number, first: number, last: number) => {
    const [begin, end] = spans.get(group) ?? [Infinity, -Infinity];
    spans.set(group, [Math.min(begin, first), Math.max(end, last)]);
  };
  for (const { index, members, outer } of groups) {
    for (const id of members) widen(index, layers.get(id) as number, layers.get(id) as number);
    const span = spans.get(index);
    if (outer !== null && span) widen(outer, ...span);
  }
  return spans;
}

/** Order a tree by its blocks' former heights: those of groups are the mean of their blocks'. */
function sortBy(container: Container, heights: readonly number[]): number {
  const height = new Map<Child, number>();
  for (const child of container.children)
    height.set(child, "children" in child ? sortBy(child, heights) : (heights[child.index] as number));
  container.children.sort((one, other) => (height.get(one) as number) - (height.get(other) as number));
  return [...height.values()].reduce((sum, value) => sum + value, 0) / Math.max(1, height.size);
}
