/** Commands on what is selected, and on fields. */

import { type GraphNode, type Id, type Level, linksById, nodesById, position } from "../document/document";
import { addGroup, addNode, changeGroup, mapNode, nextNodeId } from "../document/edits";
import { boundingOf } from "../document/grouping";
import { deleteReroutes, linksThrough, reroutesById } from "../document/native_reroutes";
import { freeSpot, newNode, newNote } from "../document/new_nodes";
import { setWidget } from "../document/widget_views";
import { t } from "../i18n";
import { current, edit, fitView, levelOf, select, surroundings, useEditor } from "./editor";
import { move, moved, placed, snapped } from "./moving";

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

/** Put a new node at a place, or beside it if another node is there, and select it. Returns its id. */
export function putNode(
  make: (id: number, at: [number, number]) => GraphNode,
  at: readonly [number, number],
  kind: string | null = null,
): string {
  const level = levelOf(current());
  const id = nextNodeId(level);
  edit((before) => addNode(before, make(id, freeSpot(level, [placed(at[0]), placed(at[1])]))), kind);
  select([String(id)]);
  return String(id);
}

export const addNote = (at: [number, number]): string => putNode((id, pos) => newNote("Note", id, pos), at);

/** The input for pictures of the selected node, or of a new LoadImage. null: there is none. */
export function pictureInput(at: readonly [number, number]): { id: string; key: string } | null {
  const { catalogue } = useEditor.getState();
  const { selection } = current();
  const keyOf = (type: string) => catalogue.get(type)?.inputs.find((input) => input.widget === "image")?.name;
  for (const { id, type } of levelOf(current()).nodes) {
    const key = selection.has(String(id)) ? keyOf(type) : undefined;
    if (key !== undefined) return { id: String(id), key };
  }
  const def = catalogue.get("LoadImage");
  const key = keyOf("LoadImage");
  if (!def || key === undefined) return null;
  return { id: putNode((id, pos) => newNode(def, id, pos), [at[0] - 135, at[1] - 100]), key };
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
