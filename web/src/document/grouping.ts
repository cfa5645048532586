/** Which nodes belong to a group: files do not list them, their position decides. */

import type { Group, Level } from "./document";
import { bounds, geometry, placedNodes } from "./geometry";
import type { EditContext } from "./widget_views";

export const GROUP_TITLE = 30;
const MARGIN = 16;

/** The nodes whose centre is inside a group. */
export function membersOf(level: Level, env: EditContext, group: Group): string[] {
  const [left, top, width, height] = group.bounding;
  return placedNodes(level).flatMap((node) => {
    const place = geometry(node, env);
    const [x, y] = [place.x + place.width / 2, place.y + place.height / 2];
    return x >= left && x <= left + width && y >= top && y <= top + height ? [String(node.id)] : [];
  });
}

/** The groups that lie completely inside another, by index. */
export function groupsWithin(level: Level, index: number): number[] {
  const groups = level.groups ?? [];
  const outer = groups[index]?.bounding;
  if (!outer) return [];
  return groups.flatMap(({ bounding: [x, y, width, height] }, at) => {
    const within =
      x >= outer[0] && y >= outer[1] && x + width <= outer[0] + outer[2] && y + height <= outer[1] + outer[3];
    return within && at !== index ? [at] : [];
  });
}

/** The box of a group around those nodes, with room for its title. null: there are no nodes. */
export function boundingOf(level: Level, env: EditContext, ids: ReadonlySet<string>): Group["bounding"] | null {
  const box = bounds(placedNodes(level).flatMap((node) => (ids.has(String(node.id)) ? [geometry(node, env)] : [])));
  if (!box) return null;
  return [box.x - MARGIN, box.y - MARGIN - GROUP_TITLE, box.width + 2 * MARGIN, box.height + 2 * MARGIN + GROUP_TITLE];
}

export function moveGroups(level: Level, to: ReadonlyMap<number, readonly [number, number]>): Level {
  if (!to.size || !level.groups) return level;
  let changed = false;
  const groups = level.groups.map((group, index) => {
    const at = to.get(index);
    const [x, y, width, height] = group.bounding;
    if (!at || (at[0] === x && at[1] === y)) return group;
    changed = true;
    return { ...group, bounding: [at[0], at[1], width, height] as Group["bounding"] };
  });
  return changed ? { ...level, groups } : level;
}

export function deleteGroups(level: Level, indexes: ReadonlySet<number>): Level {
  if (!indexes.size || !level.groups) return level;
  return { ...level, groups: level.groups.filter((_, index) => !indexes.has(index)) };
}
