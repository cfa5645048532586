/** Nearby nodes and groups of the open level in React Flow's form. */

import type { GraphNode, Level } from "../document/document";
import { type Geometry, geometry, placedNodes } from "../document/geometry";
import type { EditContext } from "../document/widget_views";
import type { View } from "../state/editor";
import type { Card } from "./NodeCard";

const FAR_ZOOM = 0.42;
const MOST_ELEMENTS = 70;
const MARGIN = 240;

export const NO_NODES: ReadonlySet<string> = new Set();

export const sameSet = (first: ReadonlySet<string>, second: ReadonlySet<string>): boolean =>
  first === second || (first.size === second.size && [...first].every((id) => second.has(id)));

/** The nodes near this view; none if they are too small or too many. */
export function nearby(
  level: Level,
  env: EditContext,
  view: View,
  size: { width: number; height: number },
): ReadonlySet<string> {
  if (view.zoom < FAR_ZOOM) return NO_NODES;
  const left = -view.x / view.zoom - MARGIN;
  const top = -view.y / view.zoom - MARGIN;
  const right = left + size.width / view.zoom + 2 * MARGIN;
  const bottom = top + size.height / view.zoom + 2 * MARGIN;
  const found = new Set<string>();
  for (const node of placedNodes(level)) {
    const place = geometry(node, env);
    if (place.x < right && place.y < bottom && place.x + place.width > left && place.y + place.height > top) {
      found.add(String(node.id));
      if (found.size > MOST_ELEMENTS) return NO_NODES;
    }
  }
  return found;
}

const cards = new WeakMap<Geometry, Card>();

/** Returns the same object while nothing about it changes. It has no handles: links and drags are handled here. */
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
