/** Commands on what is selected, and on fields. */

import { type Id, type Level, linksById, nodesById, position } from "../document/document";
import { addGroup, addNode, changeGroup, mapNode, nextNodeId } from "../document/edits";
import { boundingOf } from "../document/grouping";
import { deleteReroutes, linksThrough, reroutesById } from "../document/native_reroutes";
import { setWidget } from "../document/widget_views";
import { t } from "../i18n";
import { current, edit, fitView, levelOf, select, surroundings } from "./editor";
import { move, moved, snapped } from "./moving";

export function groupSelected(): void {
  const level = levelOf(current());
  const bounding = boundingOf(level, surroundings(), current().selection);
  if (!bounding) return;
  edit((before) =>
    addGroup(before, { title: t("menu.newGroup"), bounding, color: "#3f789e", font_size: 24, flags: {} }),
  );
  select([], null, [level.groups?.length ?? 0]);
}

/** Make a group as large as what is in it needs. */
export function fitGroup(index: number, members: ReadonlySet<string>): void {
  const bounding = boundingOf(levelOf(current()), surroundings(), members);
  if (bounding) edit((level) => changeGroup(level, index, { bounding }));
}

/** Lay out what is selected, or everything. */
export async function tidy(): Promise<void> {
  const { arranged } = await import("../document/layout");
  const { selection } = current();
  const some = selection.size > 1;
  const level = levelOf(current());
  const { nodes, boxes } = arranged(level, surroundings(), some ? selection : undefined);
  edit((before) =>
    straightened(withBoxes(moved(before, { nodes, groups: new Map(), reroutes: new Map() }), boxes), nodes),
  );
  if (!some) fitView();
}

const withBoxes = (level: Level, boxes: ReadonlyMap<number, [number, number, number, number]>): Level =>
  [...boxes].reduce((now, [index, bounding]) => changeGroup(now, index, { bounding }), level);

/** Points that led links around what was there lead them astray once both ends are somewhere else. */
function straightened(level: Level, placed: ReadonlyMap<string, unknown>): Level {
  const stale = [...reroutesById(level).keys()].filter((id) => {
    const links = linksThrough(level, id);
    return (
      links.length > 0 &&
      links.every((link) => placed.has(String(link.origin_id)) && placed.has(String(link.target_id)))
    );
  });
  return deleteReroutes(level, new Set(stale));
}

export function alignToGrid(): void {
  const { selection, groups } = current();
  const level = levelOf(current());
  const all = !selection.size && !groups.size;
  const at = (value: readonly [number, number]): [number, number] => [snapped(value[0]), snapped(value[1])];
  const nodes = level.nodes.filter((node) => all || selection.has(String(node.id)));
  const framed = (level.groups ?? []).flatMap((group, index) =>
    all || groups.has(index) ? [[index, group.bounding] as const] : [],
  );
  move(
    {
      nodes: new Map(nodes.map((node) => [String(node.id), at(position(node))])),
      groups: new Map(framed.map(([index, [x, y]]) => [index, at([x, y])])),
      reroutes: new Map(),
    },
    null,
  );
}

export function addNote(at: [number, number]): void {
  const id = nextNodeId(levelOf(current()));
  edit((level) =>
    addNode(level, {
      id,
      type: "Note",
      pos: [Math.round(at[0]), Math.round(at[1])],
      size: [240, 120],
      flags: {},
      order: 0,
      mode: 0,
      inputs: [],
      outputs: [],
      properties: {},
      widgets_values: [""],
    }),
  );
  select([String(id)]);
}

/** One widget's value, from wherever on the editor it comes. */
export function writeWidget(
  node: string,
  key: string,
  value: unknown,
  kind: string | null = `widget ${node} ${key}`,
): void {
  edit((level) => mapNode(level, node, (before) => setWidget(before, key, value, surroundings())), kind);
}

export const linkOf = (id: Id) => linksById(levelOf(current())).get(String(id));
export const nodeOf = (id: string) => nodesById(levelOf(current())).get(id);
