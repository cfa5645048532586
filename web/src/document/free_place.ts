/** Finds room for a node among the others. */

import type { Level } from "./document";
import { geometry, HEADER, placedNodes } from "./geometry";
import type { EditContext } from "./widget_views";

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Least distance between a new node and the others. */
const GAP = 20;
const MOST_TRIES = 4000;

/** The place nearest to the box where it covers no other box: its corner. */
export function freePlace(box: Box, others: readonly Box[]): [number, number] {
  const covered = (x: number, y: number) =>
    others.find(
      (other) =>
        x < other.x + other.width + GAP &&
        x + box.width + GAP > other.x &&
        y < other.y + other.height + GAP &&
        y + box.height + GAP > other.y,
    );
  const distance = ([x, y]: readonly [number, number]) => Math.hypot(x - box.x, y - box.y);
  const seen = new Set<string>();
  let open: [number, number][] = [[box.x, box.y]];
  for (let tries = 0; tries < MOST_TRIES && open.length; tries += 1) {
    const next = open.reduce((best, place) => (distance(place) < distance(best) ? place : best));
    open = open.filter((place) => place !== next);
    const [x, y] = next;
    const other = covered(x, y);
    if (!other) return next;
    const around: [number, number][] = [
      [other.x + other.width + GAP, y],
      [other.x - box.width - GAP, y],
      [x, other.y + other.height + GAP],
      [x, other.y - box.height - GAP],
    ];
    for (const place of around) {
      const key = place.join();
      if (!seen.has(key)) open.push(place);
      seen.add(key);
    }
  }
  return [Math.max(...others.map((other) => other.x + other.width)) + GAP, box.y];
}

/** The level with a node moved to where it covers no other node. */
export function withRoom(level: Level, id: string, env: EditContext): Level {
  const node = level.nodes.find((entry) => String(entry.id) === id);
  if (!node) return level;
  const place = geometry(node, env);
  const others = placedNodes(level).flatMap((other) => (other === node ? [] : [geometry(other, env)]));
  const [x, y] = freePlace(place, others);
  if (x === place.x && y === place.y) return level;
  const header = place.look === "reroute" ? 0 : HEADER;
  return { ...level, nodes: level.nodes.map((entry) => (entry === node ? { ...node, pos: [x, y + header] } : entry)) };
}
