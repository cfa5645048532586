/** Finds what is under a point or in a box of the canvas, whether painted or built of elements. */

import type { Group, Level } from "../document/document";
import { type Geometry, geometry, type Point, placedNodes } from "../document/geometry";
import { GROUP_TITLE } from "../document/grouping";
import type { EditContext } from "../document/widget_views";

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

const contains = (box: Box, { x, y }: Point): boolean =>
  x >= box.x && y >= box.y && x <= box.x + box.width && y <= box.y + box.height;

const meet = (one: Box, other: Box): boolean =>
  one.x <= other.x + other.width &&
  other.x <= one.x + one.width &&
  one.y <= other.y + other.height &&
  other.y <= one.y + one.height;

/** The topmost node under a point. */
export function nodeAt(level: Level, env: EditContext, point: Point): string | null {
  const found = placedNodes(level).findLast((node) => contains(geometry(node, env), point));
  return found ? String(found.id) : null;
}

export type GroupPart = { index: number; part: "title" | "corner" };

/** The title or lower right corner of a group under a point; `reach`: size of the corner. */
export function groupAt(level: Level, { x, y }: Point, reach = 18): GroupPart | null {
  const groups = level.groups ?? [];
  for (let index = groups.length - 1; index >= 0; index -= 1) {
    const [left, top, width, height] = (groups[index] as Group).bounding;
    if (x < left || x > left + width || y < top || y > top + height) continue;
    if (x > left + width - reach && y > top + height - reach) return { index, part: "corner" };
    if (y < top + Math.max(GROUP_TITLE, reach)) return { index, part: "title" };
  }
  return null;
}

/** The nodes that a box touches, and the groups that lie completely inside it. */
export function boxed(level: Level, env: EditContext, box: Box): { nodes: string[]; groups: number[] } {
  const nodes = placedNodes(level).flatMap((node) => (meet(geometry(node, env), box) ? [String(node.id)] : []));
  const groups = (level.groups ?? []).flatMap(({ bounding: [x, y, width, height] }, index) =>
    x >= box.x && y >= box.y && x + width <= box.x + box.width && y + height <= box.y + box.height ? [index] : [],
  );
  return { nodes, groups };
}

/** The field of a node under a point. */
export const fieldAt = (place: Geometry, point: Point) =>
  place.collapsed
    ? undefined
    : place.widgets.find((row) =>
        contains({ x: place.x, y: place.y + row.y, width: place.width, height: row.height }, point),
      );
