/** Computes the height at which each block of an ordered layered drawing stands. */

import { type Container, isCluster, leavesOf, type Segment } from "./order";

export interface Block {
  /** The first and last layer in which it takes room. */
  first: number;
  last: number;
  height: number;
  /** A link's lane. */
  lane: boolean;
}

export interface Room {
  /** Between nodes, and between a lane and its neighbours. */
  nodes: number;
  lanes: number;
  /** Above and below the blocks of a group. */
  above: number;
  below: number;
}

const ROUNDS = 60;

/** A least distance between the tops of two things, both numbered in the order of the drawing. */
interface Distance {
  upper: number;
  lower: number;
  least: number;
}

/** The top of each block: none overlap in a layer, groups contain only their own, and links are as level as possible. */
export function heightsOf(
  root: Container,
  blocks: readonly Block[],
  segments: readonly Segment[],
  room: Room,
): Float64Array {
  const { of, distances, count } = numbered(root, blocks, room);
  const tops = new Float64Array(count);
  const [sources, targets] = [neighbours(blocks.length), neighbours(blocks.length)];
  for (const { from, fromY, to, toY } of segments) {
    if (from === to) continue;
    targets[from]?.push({ block: to, by: toY - fromY });
    sources[to]?.push({ block: from, by: fromY - toY });
  }
  const top = (block: number) => tops[of[block] as number] as number;
  const wanted = (block: number, round: number): number | null => {
    const last = round >= ROUNDS - 12;
    const near = blocks[block]?.lane || last || round % 3 === 2;
    const side = [
      ...(near || round % 3 === 0 ? (sources[block] ?? []) : []),
      ...(near || round % 3 === 1 ? (targets[block] ?? []) : []),
    ];
    const heights = side.map((other) => top(other.block) + other.by).sort((one, other) => one - other);
    if (!heights.length) return null;
    if (blocks[block]?.lane) {
      const now = top(block);
      return heights.reduce((best, height) => (Math.abs(height - now) < Math.abs(best - now) ? height : best));
    }
    if (last) return heights[(heights.length - 1) >> 1] as number;
    return heights.reduce((sum, height) => sum + height, 0) / heights.length;
  };
  settle(tops, distances, new Float64Array(count), new Float64Array(count).fill(Infinity));
  for (let round = 0; round < ROUNDS; round += 1) {
    const [low, high] = [new Float64Array(count).fill(-Infinity), new Float64Array(count).fill(Infinity)];
    for (let block = 0; block < blocks.length; block += 1) {
      const at = of[block] as number;
      low[at] = high[at] = wanted(block, round) ?? top(block);
    }
    settle(tops, distances, low, high);
  }
  return Float64Array.from(blocks, (_, block) => top(block));
}

/**
 * Moves everything as near to where it is wanted as the distances allow. Pushing only downwards and pushing only upwards
 * both keep them, and so does the mean of the two.
 */
function settle(tops: Float64Array, distances: readonly Distance[], low: Float64Array, high: Float64Array): void {
  const [down, up] = [Float64Array.from(low), Float64Array.from(high)];
  for (const { upper, lower, least } of distances) {
    const pushed = (down[upper] as number) + least;
    if (pushed > (down[lower] as number)) down[lower] = pushed;
  }
  for (let at = distances.length - 1; at >= 0; at -= 1) {
    const { upper, lower, least } = distances[at] as Distance;
    const pushed = (up[lower] as number) - least;
    if (pushed < (up[upper] as number)) up[upper] = pushed;
  }
  for (let at = 0; at < tops.length; at += 1) tops[at] = mean(down[at] as number, up[at] as number);
}

const mean = (down: number, up: number): number =>
  Number.isFinite(down) ? (Number.isFinite(up) ? (down + up) / 2 : down) : Number.isFinite(up) ? up : 0;

const neighbours = (count: number): { block: number; by: number }[][] => Array.from({ length: count }, () => []);

/** Numbers blocks and the edges of groups from top to bottom, and lists the least distances, sorted by the upper one. */
function numbered(root: Container, blocks: readonly Block[], room: Room) {
  const of = new Float64Array(blocks.length);
  const edges = new Map<Container, { top: number; bottom: number; first: number; last: number }>();
  let count = 0;
  const number = (container: Container): void => {
    for (const child of container.children) {
      if (!isCluster(child)) {
        of[child.index] = count++;
        continue;
      }
      const within = leavesOf(child).map((leaf) => blocks[leaf] as Block);
      const top = count++;
      number(child);
      edges.set(child, {
        top,
        bottom: count++,
        first: Math.min(...within.map(({ first }) => first)),
        last: Math.max(...within.map(({ last }) => last)),
      });
    }
  };
  number(root);
  const distances: Distance[] = [];
  const stack = (container: Container, layer: number): void => {
    const around = edges.get(container);
    let above = around ? { at: around.top, least: room.above, lane: null as boolean | null } : null;
    for (const child of container.children) {
      const cluster = isCluster(child);
      const block = cluster ? edges.get(child) : blocks[child.index];
      if (!block || layer < block.first || layer > block.last) continue;
      const place = cluster ? (block as { top: number; bottom: number }) : null;
      const top = place ? place.top : (of[(child as { index: number }).index] as number);
      const lane = !cluster && (block as Block).lane;
      if (above) {
        const gap = above.lane === null ? 0 : above.lane || lane ? room.lanes : room.nodes;
        distances.push({ upper: above.at, lower: top, least: above.least + gap });
      }
      if (cluster) stack(child, layer);
      above = place ? { at: place.bottom, least: 0, lane } : { at: top, least: (block as Block).height, lane };
    }
    if (around && above) distances.push({ upper: above.at, lower: around.bottom, least: above.least + room.below });
  };
  const layers = Math.max(0, ...blocks.map(({ last }) => last + 1));
  for (let layer = 0; layer < layers; layer += 1) stack(root, layer);
  distances.sort((one, other) => one.upper - other.upper || one.lower - other.lower);
  return { of, distances, count };
}
