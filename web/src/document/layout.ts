/**
 * Arranges a graph from left to right in layers, in the direction of data, with few crossings of links and groups around
 * their nodes (Sugiyama, Tagawa, Toda: Methods for visual understanding of hierarchical system structures, 1981).
 */

import { type Group, type Id, type Level, linksOf } from "./document";
import { freePlace } from "./free_place";
import { bounds, type Geometry, GRID, geometry, HEADER, type Point, placedNodes } from "./geometry";
import { GROUP_TITLE, membersOf } from "./grouping";
import { bendsOf } from "./layered/bends";
import { type Block, heightsOf } from "./layered/heights";
import { bestPlan, type Framed, LANE, spansOf, type Wire } from "./layered/plan";
import type { EditContext } from "./widget_views";

export interface Arrangement {
  /** By node, in the form of files: below the header. */
  nodes: Map<string, [number, number]>;
  /** By the index of a group: the bounding box of its former members. */
  boxes: Map<number, Group["bounding"]>;
  /** By link, from its origin: points it must pass so as not to cross others or run behind nodes. */
  bends: Map<Id, Point[]>;
}

const MARGIN = 16;
const ROOM = { nodes: 36, lanes: 16, above: MARGIN + GROUP_TITLE, below: MARGIN };
const COLUMN_GAP = 80;
/** Between columns where a group begins or ends, for each. */
const GROUP_GAP = 24;

/** `only`: arrange these nodes and leave the rest, including groups. */
export function arranged(level: Level, env: EditContext, only?: ReadonlySet<string>): Arrangement {
  const before = new Map(
    placedNodes(level).flatMap((node) =>
      !only || only.has(String(node.id)) ? [[String(node.id), geometry(node, env)]] : [],
    ),
  );
  if (!before.size) return { nodes: new Map(), boxes: new Map(), bends: new Map() };
  const wires = linksOf(level).flatMap((link): Wire[] => {
    const [from, to] = [String(link.origin_id), String(link.target_id)];
    const known = before.has(from) && before.has(to) && from !== to;
    return known ? [{ id: link.id, from, to, slots: [link.origin_slot, link.target_slot] }] : [];
  });
  const groups = only ? [] : nested(level, env);
  const plan = bestPlan(before, wires, groups);
  const { layers, root, blocks, segments } = plan;
  const tops = heightsOf(root, blocks, segments, ROOM);
  const columns = widthsOf(before, layers, groups);
  const [left, top] = cornerOf(before, only && others(level, env, only), columns, blocks, tops);
  const snap = (value: number) => Math.round(value / GRID) * GRID;
  const after = new Map(
    [...before].map(([id, place]) => {
      const x = snap(left + (columns[layers.get(id) as number]?.x ?? 0));
      return [id, { ...place, x, y: snap(top + (tops[plan.index.get(id) as number] as number)) }];
    }),
  );
  const lanes = new Map(
    [...plan.lanes].map(([id, pieces]) => [
      id,
      pieces.flatMap((piece) => {
        const { first, last } = blocks[piece] as Block;
        const y = Math.round(top + (tops[piece] as number) + LANE / 2);
        const [start, end] = [columns[first], columns[last]];
        return [start?.x ?? 0, (end?.x ?? 0) + (end?.width ?? 0)].map((x) => ({ x: Math.round(left + x), y }));
      }),
    ]),
  );
  const nodes = new Map(
    [...after].map(([id, { x, y, look }]): [string, [number, number]] => [
      id,
      [x, y + (look === "reroute" ? 0 : HEADER)],
    ]),
  );
  const right = (id: string) => {
    const column = columns[layers.get(id) as number];
    return Math.round(left + (column?.x ?? 0) + (column?.width ?? 0));
  };
  return { nodes, boxes: boxesOf(groups, after), bends: bendsOf(wires, after, lanes, right) };
}

/** The groups with nodes, each node in the smallest that contains it; outer groups follow inner ones. */
function nested(level: Level, env: EditContext): Framed[] {
  const area = ({ bounding: [, , width, height] }: Group) => width * height;
  const bySize = (level.groups ?? [])
    .map((group, index) => ({ group, index, all: new Set(membersOf(level, env, group)) }))
    .filter(({ all }) => all.size > 0)
    .sort((first, second) => area(first.group) - area(second.group));
  const grouped = new Set<string>();
  return bySize.map(({ index, all }, at) => {
    const members = [...all].filter((id) => !grouped.has(id));
    for (const id of members) grouped.add(id);
    const outer = bySize.slice(at + 1).find((other) => [...all].every((id) => other.all.has(id)));
    return { index, members, outer: outer?.index ?? null };
  });
}

interface Column {
  x: number;
  width: number;
}

function widthsOf(
  places: ReadonlyMap<string, Geometry>,
  layers: ReadonlyMap<string, number>,
  groups: readonly Framed[],
): Column[] {
  const columns: Column[] = [];
  for (const [id, { width }] of places) {
    const layer = layers.get(id) as number;
    columns[layer] = { x: 0, width: Math.max(width, columns[layer]?.width ?? 0) };
  }
  const [begins, ends] = [columns.map(() => 0), columns.map(() => 0)];
  for (const [first, last] of spansOf(groups, layers).values()) {
    begins[first] = (begins[first] ?? 0) + 1;
    ends[last] = (ends[last] ?? 0) + 1;
  }
  const edge = (count: number | undefined) => GROUP_GAP * Math.min(count ?? 0, MOST_EDGES);
  let x = 0;
  for (const [layer, column] of columns.entries()) {
    column.x = x;
    x += column.width + COLUMN_GAP + edge(ends[layer]) + edge(begins[layer + 1]);
  }
  return columns;
}

/** Groups beside each other need no more room between columns, nested ones do. */
const MOST_EDGES = 2;

const others = (level: Level, env: EditContext, only: ReadonlySet<string>): Geometry[] =>
  placedNodes(level).flatMap((node) => (only.has(String(node.id)) ? [] : [geometry(node, env)]));

/** The upper left corner: the former one, or the nearest place where nothing covers the nodes that stay. */
function cornerOf(
  before: ReadonlyMap<string, Geometry>,
  staying: readonly Geometry[] | undefined,
  columns: readonly Column[],
  blocks: readonly Block[],
  tops: ArrayLike<number>,
): [number, number] {
  const at = bounds(before.values()) as { x: number; y: number };
  const nodes = blocks.flatMap((block, index) => {
    const column = columns[block.first] as Column;
    return block.lane ? [] : [{ x: column.x, y: tops[index] as number, width: column.width, height: block.height }];
  });
  const box = bounds(nodes) as { x: number; y: number; width: number; height: number };
  const [x, y] = staying ? freePlace({ ...box, x: at.x, y: at.y }, staying) : [at.x, at.y];
  return [x - box.x, y - box.y];
}

function boxesOf(groups: readonly Framed[], places: ReadonlyMap<string, Geometry>): Arrangement["boxes"] {
  const boxes: Arrangement["boxes"] = new Map();
  for (const { index, members } of groups) {
    const inner = groups.flatMap(({ index: other, outer }) => {
      const box = outer === index ? boxes.get(other) : undefined;
      return box ? [{ x: box[0], y: box[1], width: box[2], height: box[3] }] : [];
    });
    const box = bounds([...members.map((id) => places.get(id) as Geometry), ...inner]);
    if (!box) continue;
    boxes.set(index, [
      box.x - MARGIN,
      box.y - MARGIN - GROUP_TITLE,
      box.width + 2 * MARGIN,
      box.height + 2 * MARGIN + GROUP_TITLE,
    ]);
  }
  return boxes;
}
