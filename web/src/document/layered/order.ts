/**
 * Orders the blocks of a layered drawing from top to bottom so that few links cross.
 *
 * A block is a node in one layer, or the lane of a link that passes through several. One order of all blocks gives the
 * order within each layer; the blocks of a group stay together. Blocks are sifted: each in turn goes to its best place
 * among the others (Bachmaier, Brandenburg, Brunner, Hübner: A global k-level crossing reduction algorithm, 2010).
 */

export interface Container {
  children: Child[];
}

export interface Leaf {
  /** Its place in lists of blocks. */
  index: number;
}

export interface Cluster extends Container {
  /** Its place in the list of groups. */
  group: number;
}

export type Child = Leaf | Cluster;

/** The part of a link between a layer and the next; `fromY` and `toY`: the heights of its sockets within the blocks. */
export interface Segment {
  layer: number;
  from: number;
  fromY: number;
  to: number;
  toY: number;
}

export const isCluster = (child: Child): child is Cluster => "children" in child;

/** The blocks inside, from top to bottom. */
export function leavesOf(child: Child | Container): number[] {
  return "children" in child ? child.children.flatMap(leavesOf) : [child.index];
}

export function crossings(segments: readonly Segment[], places: readonly number[]): number {
  let count = 0;
  for (const [index, one] of segments.entries())
    for (let at = index + 1; at < segments.length; at += 1)
      if (crosses(one, segments[at] as Segment, places)) count += 1;
  return count;
}

function crosses(one: Segment, other: Segment, places: readonly number[]): boolean {
  if (one.layer !== other.layer) return false;
  const left =
    one.from === other.from ? one.fromY - other.fromY : (places[one.from] as number) - (places[other.from] as number);
  const right = one.to === other.to ? one.toY - other.toY : (places[one.to] as number) - (places[other.to] as number);
  return left * right < 0;
}

/** The place of each block in the order of a tree. */
export function placesOf(root: Container): number[] {
  const leaves = leavesOf(root);
  const places: number[] = [];
  for (const [place, leaf] of leaves.entries()) places[leaf] = place;
  return places;
}

/** How many steps to make from the first order, and before the best order so far is taken. */
const MOST_STEPS = 8_000_000;
const EFFORT = 1_200_000;
const MOST_STARTS = 24;

/** Reorder a tree's children in place so that few segments cross. The first order is tried first. */
export function reorder(root: Container, segments: readonly Segment[]): number {
  const sifting = new Sifting(root, segments);
  const random = seeded(segments.length + 1);
  let best = { count: sifting.settle(), order: snapshot(root) };
  for (let start = 1; best.count > 0 && start < MOST_STARTS && sifting.effort < EFFORT; start += 1) {
    shuffle(root, random);
    const count = sifting.settle();
    if (count < best.count) best = { count, order: snapshot(root) };
  }
  restore(root, best.order);
  return best.count;
}

class Sifting {
  effort = 0;
  private places: number[] = [];
  private readonly touching = new Map<Child, readonly Segment[]>();

  constructor(
    private readonly root: Container,
    private readonly segments: readonly Segment[],
  ) {
    const of = (child: Child): readonly Segment[] => {
      const leaves = new Set(leavesOf(child));
      const found = segments.filter(({ from, to }) => leaves.has(from) || leaves.has(to));
      this.touching.set(child, found);
      if (isCluster(child)) child.children.forEach(of);
      return found;
    };
    root.children.forEach(of);
  }

  /** Sift until nothing improves; returns the number of crossings. */
  settle(): number {
    this.places = placesOf(this.root);
    for (let gain = -1; gain < 0 && this.effort < MOST_STEPS; ) gain = this.round(this.root);
    return crossings(this.segments, this.places);
  }

  private round(container: Container): number {
    let gain = 0;
    const degree = (child: Child) => this.touching.get(child)?.length ?? 0;
    for (const child of container.children.toSorted((one, other) => degree(other) - degree(one))) {
      if (this.effort > MOST_STEPS) return gain;
      gain += this.sift(container, child);
      if (isCluster(child)) gain += this.round(child);
    }
    return gain;
  }

  /** Moves a child to the place with the fewest crossings, or lets it stay; returns the change of their number. */
  private sift({ children }: Container, child: Child): number {
    const start = children.indexOf(child);
    let [at, change] = [start, 0];
    let best = { at, change };
    const step = (down: boolean) => {
      const upper = down ? at : at - 1;
      change += this.swap(children, upper);
      at += down ? 1 : -1;
      const nearer = Math.abs(at - start) < Math.abs(best.at - start);
      if (change < best.change || (change === best.change && nearer)) best = { at, change };
    };
    while (at > 0) step(false);
    while (at < children.length - 1) step(true);
    while (at > best.at) step(false);
    return best.change;
  }

  /** Exchanges the child at `upper` with the next; returns the change of the number of crossings. */
  private swap(children: Child[], upper: number): number {
    const [one, other] = [children[upper] as Child, children[upper + 1] as Child];
    const [ones, others] = [this.touching.get(one) ?? [], this.touching.get(other) ?? []];
    const before = this.between(ones, others);
    const [first, second] = [leavesOf(one), leavesOf(other)];
    for (const leaf of first) this.places[leaf] = (this.places[leaf] as number) + second.length;
    for (const leaf of second) this.places[leaf] = (this.places[leaf] as number) - first.length;
    children[upper] = other;
    children[upper + 1] = one;
    return this.between(ones, others) - before;
  }

  private between(ones: readonly Segment[], others: readonly Segment[]): number {
    this.effort += 1 + ones.length * others.length;
    let count = 0;
    for (const one of ones) for (const other of others) if (crosses(one, other, this.places)) count += 1;
    return count;
  }
}

type Snapshot = ReadonlyMap<Container, readonly Child[]>;

function snapshot(root: Container): Snapshot {
  const found = new Map<Container, readonly Child[]>([[root, [...root.children]]]);
  for (const child of root.children) if (isCluster(child)) for (const entry of snapshot(child)) found.set(...entry);
  return found;
}

function restore(root: Container, order: Snapshot): void {
  root.children = [...(order.get(root) ?? root.children)];
  for (const child of root.children) if (isCluster(child)) restore(child, order);
}

function shuffle(root: Container, random: () => number): void {
  for (let at = root.children.length - 1; at > 0; at -= 1) {
    const with_ = Math.floor(random() * (at + 1));
    [root.children[at], root.children[with_]] = [root.children[with_] as Child, root.children[at] as Child];
  }
  for (const child of root.children) if (isCluster(child)) shuffle(child, random);
}

/** Numbers from 0 to 1, the same in every run (Park and Miller's generator). */
function seeded(seed: number): () => number {
  let state = (seed % 2147483646) + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
