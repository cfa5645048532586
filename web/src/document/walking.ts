/** Moving between nodes without a mouse: to the neighbour in a direction, and along links. */

import { type Level, linksOf } from "./document";
import type { Geometry, Point } from "./geometry";

export type Direction = "left" | "right" | "up" | "down";

export const AHEAD: Record<Direction, readonly [number, number]> = {
  left: [-1, 0],
  right: [1, 0],
  up: [0, -1],
  down: [0, 1],
};

const middle = (place: Geometry): Point => ({ x: place.x + place.width / 2, y: place.y + place.height / 2 });

/** The nearest node in that direction; sideways distance counts more than distance ahead. */
export function neighbour(places: ReadonlyMap<string, Geometry>, from: string, direction: Direction): string | null {
  const start = places.get(from);
  if (!start) return null;
  const origin = middle(start);
  const [dx, dy] = AHEAD[direction];
  let best: string | null = null;
  let least = Infinity;
  for (const [id, place] of places) {
    if (id === from) continue;
    const { x, y } = middle(place);
    const ahead = (x - origin.x) * dx + (y - origin.y) * dy;
    const aside = Math.abs((x - origin.x) * dy) + Math.abs((y - origin.y) * dx);
    if (ahead <= 0 || aside > 3 * ahead) continue;
    const cost = ahead + 2 * aside;
    if (cost < least) [least, best] = [cost, id];
  }
  return best;
}

/** The node nearest to a point. */
export function nearest(places: ReadonlyMap<string, Geometry>, to: Point): string | null {
  let best: string | null = null;
  let least = Infinity;
  for (const [id, place] of places) {
    const { x, y } = middle(place);
    const distance = Math.hypot(x - to.x, y - to.y);
    if (distance < least) [least, best] = [distance, id];
  }
  return best;
}

/** The nodes that feed a node, or that it feeds, in the order of its sockets, each once. */
export function linkedNodes(level: Level, id: string, side: "before" | "after"): string[] {
  const links = linksOf(level).filter((link) => String(side === "before" ? link.target_id : link.origin_id) === id);
  const slot = side === "before" ? ("target_slot" as const) : ("origin_slot" as const);
  const ordered = links.toSorted((first, second) => first[slot] - second[slot]);
  return [...new Set(ordered.map((link) => String(side === "before" ? link.origin_id : link.target_id)))];
}

/** The upstream or downstream nodes of some nodes, including these nodes. */
export function reached(level: Level, from: readonly string[], way: "before" | "after"): ReadonlySet<string> {
  const next = new Map<string, string[]>();
  for (const { origin_id, target_id } of linksOf(level)) {
    const [here, there] =
      way === "after" ? [String(origin_id), String(target_id)] : [String(target_id), String(origin_id)];
    const known = next.get(here);
    if (known) known.push(there);
    else next.set(here, [there]);
  }
  const found = new Set(from);
  for (const id of found) for (const other of next.get(id) ?? []) found.add(other); // a Set's loop includes added items
  return found;
}
