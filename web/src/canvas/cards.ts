/** What of a level is built of elements, as React Flow takes it. */

import type { GraphNode, Level } from "../document/document";
import { type Geometry, geometry, placedNodes } from "../document/geometry";
import type { Surroundings } from "../document/widget_views";
import type { View } from "../state/editor";
import type { Card } from "./NodeCard";

const FAR_ZOOM = 0.42;
const MOST_ELEMENTS = 70;
const MARGIN = 240;

export const NOBODY: ReadonlySet<string> = new Set();

export const sameSet = (first: ReadonlySet<string>, second: ReadonlySet<string>): boolean =>
  first === second || (first.size === second.size && [...first].every((id) => second.has(id)));

/** The nodes near enough at this view; none where they are small or too many. */
export function nearby(
  level: Level,
  around: Surroundings,
  view: View,
  size: { width: number; height: number },
): ReadonlySet<string> {
  if (view.zoom < FAR_ZOOM) return NOBODY;
  const left = -view.x / view.zoom - MARGIN;
  const top = -view.y / view.zoom - MARGIN;
  const right = left + size.width / view.zoom + 2 * MARGIN;
  const bottom = top + size.height / view.zoom + 2 * MARGIN;
  const found = new Set<string>();
  for (const node of placedNodes(level)) {
    const place = geometry(node, around);
    if (place.x < right && place.y < bottom && place.x + place.width > left && place.y + place.height > top) {
      found.add(String(node.id));
      if (found.size > MOST_ELEMENTS) return NOBODY;
    }
  }
  return found;
}

const cards = new WeakMap<Geometry, Card>();

/** The same object as long as nothing about it changed. Links and drags are ours, so it has no handles. */
export function cardOf(node: GraphNode, place: Geometry, selected: boolean): Card {
  const known = cards.get(place);
  if (known && known.data.node === node && known.selected === selected) return known;
  const card: Card = {
    id: String(node.id),
    type: "card",
    position: { x: place.x, y: place.y },
    width: place.width,
    height: place.height,
    measured: { width: place.width, height: place.height },
    handles: [],
    selected,
    data: { node, place },
  };
  cards.set(place, card);
  return card;
}
