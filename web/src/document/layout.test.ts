import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT, sampleFiles } from "../format/sample_files";
import { type Doc, emptyDocument, type GraphNode, type LinkRecord, linksOf, type RawLink } from "./document";
import { moveNodes } from "./edits";
import { geometry, placedNodes, socket } from "./geometry";
import { membersOf } from "./grouping";
import { type Arrangement, arranged } from "./layout";
import { linkPaths, routesCross } from "./links";
import { deleteReroutes, reroutesById, withBends } from "./native_reroutes";
import { type RawNodeDef, readCatalogue } from "./schema";

const INFO = join(ROOT, "tests/object_info.json");
const catalogue = readCatalogue(JSON.parse(readFileSync(INFO, "utf-8")) as Record<string, RawNodeDef>);
const workflows = sampleFiles.filter((path) => path.startsWith("workflows"));
const read = (path: string) => JSON.parse(readFileSync(join(ROOT, path), "utf-8")) as Doc;

function applied(doc: Doc, { nodes, boxes, bends }: Arrangement): Doc {
  const groups = (doc.groups ?? []).map((group, index) => ({ ...group, bounding: boxes.get(index) ?? group.bounding }));
  const straight = deleteReroutes({ ...doc, groups }, new Set(reroutesById(doc).keys()));
  return withBends(moveNodes(straight, nodes), bends) as Doc;
}

const joined = (one: LinkRecord, other: LinkRecord) =>
  (one.origin_id === other.origin_id && one.origin_slot === other.origin_slot) ||
  (one.target_id === other.target_id && one.target_slot === other.target_slot);

/** Pairs of links that cross as they are drawn, without those that share a socket. */
function crossings(doc: Doc): string[] {
  const paths = linkPaths(doc, { doc, catalogue });
  return paths.flatMap((one, at) =>
    paths
      .slice(at + 1)
      .filter((other) => !joined(one.link, other.link) && routesCross(one.route, other.route))
      .map((other) => `${one.link.id} and ${other.link.id}`),
  );
}

interface Piece {
  from: string;
  fromY: number;
  to: string;
  toY: number;
}

/** Each link's piece from every column to the next: through a column it runs along a lane. */
function piecesOf(doc: Doc): Piece[][] {
  const places = new Map(placedNodes(doc).map((node) => [String(node.id), geometry(node, { doc, catalogue })]));
  const xs = [...new Set([...places.values()].map(({ x }) => x))].sort((one, other) => one - other);
  const pieces: Piece[][] = xs.map(() => []);
  for (const link of linksOf(doc)) {
    const [from, to] = [String(link.origin_id), String(link.target_id)];
    const [origin, target] = [places.get(from), places.get(to)];
    if (!origin || !target) throw new Error(`link ${link.id} has no ends`);
    let [before, fromY] = [from, socket(origin, "output", link.origin_slot).y - origin.y];
    const [first, last] = [xs.indexOf(origin.x), xs.indexOf(target.x)];
    for (let column = first + 1; column < last; column += 1) {
      const lane = `lane ${link.id} ${column}`;
      pieces[column - 1]?.push({ from: before, fromY, to: lane, toY: 0 });
      [before, fromY] = [lane, 0];
    }
    const toY = socket(target, "input", link.target_slot).y - target.y;
    pieces[last - 1]?.push({ from: before, fromY, to, toY });
  }
  return pieces;
}

/**
 * Whether no order of the nodes in their columns is without crossings. Two pieces do not cross if their ends are in the
 * same order on both sides, so each two of them make two pairs of ends depend on each other; a contradiction shows that
 * there is no order (Randerath and others: A satisfiability formulation of problems on level graphs, 2001).
 */
function mustCross(doc: Doc): boolean {
  const parents = new Map<string, { key: string; turned: boolean }>();
  const find = (key: string): { key: string; turned: boolean } => {
    const parent = parents.get(key);
    if (!parent) return { key, turned: false };
    const root = find(parent.key);
    return { key: root.key, turned: root.turned !== parent.turned };
  };
  /** The pair of a and b, which is turned if b is above a. */
  const above = (a: string, b: string) => {
    const pair = find(a < b ? `${a} | ${b}` : `${b} | ${a}`);
    return { key: pair.key, turned: pair.turned !== a > b };
  };
  const YES = { key: "yes", turned: false };
  const agree = (one: typeof YES, other: typeof YES): boolean => {
    const [first, second] = [find(one.key), find(other.key)];
    const turned = (first.turned !== one.turned) !== (second.turned !== other.turned);
    if (first.key === second.key) return !turned;
    parents.set(first.key, { key: second.key, turned });
    return true;
  };
  const contradicts = (one: Piece, other: Piece): boolean => {
    const [left, right] = [one.fromY - other.fromY, one.toY - other.toY];
    if (one.from === other.from && one.to === other.to) return left * right < 0;
    if (one.from === other.from)
      return left !== 0 && !agree(left < 0 ? above(one.to, other.to) : above(other.to, one.to), YES);
    if (one.to === other.to)
      return right !== 0 && !agree(right < 0 ? above(one.from, other.from) : above(other.from, one.from), YES);
    return !agree(above(one.from, other.from), above(one.to, other.to));
  };
  return piecesOf(doc).some((pieces) =>
    pieces.some((one, at) => pieces.slice(at + 1).some((other) => contradicts(one, other))),
  );
}

function overlaps(doc: Doc): string[] {
  const places = placedNodes(doc).map((node) => ({ id: node.id, ...geometry(node, { doc, catalogue }) }));
  return places.flatMap((one, at) =>
    places
      .slice(at + 1)
      .filter(
        (other) =>
          one.x < other.x + other.width &&
          other.x < one.x + one.width &&
          one.y < other.y + other.height &&
          other.y < one.y + one.height,
      )
      .map((other) => `${one.id} and ${other.id}`),
  );
}

describe("arranging an example", () => {
  it.each(workflows)("%s has no crossings, unless every order has", (path) => {
    const doc = read(path);
    const after = applied(doc, arranged(doc, { doc, catalogue }));
    expect(overlaps(after)).toEqual([]);
    if (crossings(after).length) expect(mustCross(after)).toBe(true);
  });

  it.each(workflows)("%s keeps its groups around their nodes", (path) => {
    const doc = read(path);
    const members = (level: Doc) =>
      (level.groups ?? []).map((group) => membersOf(level, { doc: level, catalogue }, group).toSorted());
    expect(members(applied(doc, arranged(doc, { doc, catalogue })))).toEqual(members(doc));
  });
});

/** Numbers below `below`, the same in every run. */
function dice(seed: number): (below: number) => number {
  let state = seed + 1;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

/** A document of nodes with sockets only; links are [origin, slot, target, slot] with nodes numbered from 0. */
function graph(
  count: number,
  links: readonly (readonly [number, number, number, number])[],
  roll: (n: number) => number,
) {
  const made = links.map((link, index): RawLink => [index + 1, link[0] + 1, link[1], link[2] + 1, link[3], "X"]);
  const slots = (id: number, node: 1 | 3, slot: 2 | 4) => [
    ...Array(
      1 +
        Math.max(
          -1,
          ...made.flatMap((link) => ((link as unknown[])[node] === id ? [Number((link as unknown[])[slot])] : [])),
        ),
    ).keys(),
  ];
  const nodes = Array.from({ length: count }, (_, index): GraphNode => {
    const id = index + 1;
    return {
      id,
      type: "Unknown",
      pos: [roll(3000), roll(3000)],
      size: [140 + roll(200), 60 + roll(200)],
      inputs: slots(id, 3, 4).map((at) => {
        const link = made.find((entry) => (entry as unknown[])[3] === id && (entry as unknown[])[4] === at);
        return { name: `in ${at}`, type: "X", link: (link as [number] | undefined)?.[0] ?? null };
      }),
      outputs: slots(id, 1, 2).map((at) => ({ name: `out ${at}`, type: "X", links: [] })),
    };
  });
  return { ...emptyDocument(), nodes, links: made } as Doc;
}

/** A graph drawn in columns without crossings; numbers and places are shuffled. */
function planarGraph(seed: number): Doc {
  const roll = dice(seed);
  const columns: number[][] = [];
  let count = 0;
  for (let column = 0; column < 3 + roll(4); column += 1) {
    columns.push(Array.from({ length: 1 + roll(5) }, () => count++));
  }
  const names = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at -= 1) {
    const other = roll(at + 1);
    [names[at], names[other]] = [names[other] as number, names[at] as number];
  }
  const links: [number, number, number, number][] = [];
  const [outputs, inputs] = [Array<number>(count).fill(0), Array<number>(count).fill(0)];
  for (let column = 1; column < columns.length; column += 1) {
    const [left, right] = [columns[column - 1] as number[], columns[column] as number[]];
    for (let [from, to] = [0, 0]; from < left.length && to < right.length; ) {
      const [origin, target] = [left[from] as number, right[to] as number];
      const slot = outputs[origin] as number;
      // Every link has its own input; half of them share the output with the one before.
      const own = slot === 0 || roll(2) === 0;
      links.push([origin, own ? slot : slot - 1, target, inputs[target] as number]);
      if (own) outputs[origin] = slot + 1;
      inputs[target] = (inputs[target] as number) + 1;
      if (to + 1 >= right.length || (from + 1 < left.length && roll(2))) from += 1;
      else to += 1;
    }
  }
  const named = links.map(
    ([from, output, to, input]) => [names[from], output, names[to], input] as [number, number, number, number],
  );
  return graph(count, named, roll);
}

describe("arranging random graphs", () => {
  it.each([...Array(60).keys()])("%s, drawn without crossings, has none again", (seed) => {
    const doc = planarGraph(seed);
    const after = applied(doc, arranged(doc, { doc, catalogue }));
    expect(overlaps(after)).toEqual([]);
    expect(crossings(after)).toEqual([]);
  });

  it("have no crossings wherever there is an order without", () => {
    let planar = 0;
    for (let seed = 0; seed < 200; seed += 1) {
      const roll = dice(1000 + seed);
      const count = 4 + roll(4);
      const taken = new Set<string>();
      const links: [number, number, number, number][] = [];
      for (let at = 0; at < count + roll(3); at += 1) {
        const [one, other] = [roll(count), roll(count)];
        const input = `${Math.max(one, other)} ${at % 3}`;
        if (one === other || taken.has(input)) continue;
        taken.add(input);
        links.push([Math.min(one, other), roll(2), Math.max(one, other), at % 3]);
      }
      const doc = graph(count, links, roll);
      const after = applied(doc, arranged(doc, { doc, catalogue }));
      expect(overlaps(after), `overlaps of ${seed}`).toEqual([]);
      if (mustCross(after)) continue;
      planar += 1;
      expect(crossings(after), `crossings of ${seed}`).toEqual([]);
    }
    expect(planar).toBeGreaterThan(50);
  });
});
