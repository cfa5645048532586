/** Commands for the selection and for fields. */

import { type GraphNode, type Id, type Level, linksById, nodesById, position } from "../document/document";
import { addGroup, addNode, changeGroup, mapNode, nextNodeId } from "../document/edits";
import { withRoom } from "../document/free_place";
import { boundingOf } from "../document/grouping";
import { deleteReroutes, linksThrough, reroutesById, withBends } from "../document/native_reroutes";
import { newNode, newNote } from "../document/new_nodes";
import { setWidget } from "../document/widget_views";
import { t } from "../i18n";
import { current, edit, editContext, fitView, levelOf, select, useEditor } from "./editor";
import { move, moved, placed, snapped } from "./moving";

export function groupSelected(): void {
  const level = levelOf(current());
  const bounding = boundingOf(level, editContext(), current().selection);
  if (!bounding) return;
  edit((before) =>
    addGroup(before, { title: t("menu.newGroup"), bounding, color: "#3f789e", font_size: 24, flags: {} }),
  );
  select([], null, [level.groups?.length ?? 0]);
}

/** Fit a group to its contents. */
export function fitGroup(index: number, members: ReadonlySet<string>): void {
  const bounding = boundingOf(levelOf(current()), editContext(), members);
  if (bounding) edit((level) => changeGroup(level, index, { bounding }));
}

/** Lay out the selection, or everything. */
export async function tidy(): Promise<void> {
  const { arranged } = await import("../document/layout");
  const { selection } = current();
  const some = selection.size > 1;
  const level = levelOf(current());
  const { nodes, boxes, bends } = arranged(level, editContext(), some ? selection : undefined);
  edit((before) => {
    const at = moved(before, { nodes, groups: new Map(), reroutes: new Map() });
    return withBends(straightened(withBoxes(at, boxes), nodes), bends);
  });
  if (!some) fitView();
}

const withBoxes = (level: Level, boxes: ReadonlyMap<number, [number, number, number, number]>): Level =>
  [...boxes].reduce((now, [index, bounding]) => changeGroup(now, index, { bounding }), level);

/** Remove reroute points: they would lead links to the old positions once both ends have moved. */
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

/** Put a new node at a place, or at the nearest one where it covers no other node, and select it. Returns its id. */
export function putNode(
  make: (id: number, at: [number, number]) => GraphNode,
  at: readonly [number, number],
  kind: string | null = null,
): string {
  const level = levelOf(current());
  const id = nextNodeId(level);
  const node = make(id, [placed(at[0]), placed(at[1])]);
  edit((before) => withRoom(addNode(before, node), String(id), editContext()), kind);
  select([String(id)]);
  return String(id);
}

export const addNote = (at: [number, number]): string => putNode((id, pos) => newNote("Note", id, pos), at);

/** The picture input of the selected node, or of a new LoadImage. null: there is none. */
export function pictureInput(at: readonly [number, number]): { id: string; key: string } | null {
  const { catalogue } = useEditor.getState();
  const { selection } = current();
  const keyOf = (type: string) => catalogue.get(type)?.inputs.find((input) => input.widget === "image")?.name;
  for (const { id, type } of levelOf(current()).nodes) {
    const key = selection.has(String(id)) ? keyOf(type) : undefined;
    if (key !== undefined) return { id: String(id), key };
  }
  return newPictureInput(at);
}

/** The picture input of a new LoadImage with its middle at a place. null: there is no such node. */
export function newPictureInput(at: readonly [number, number]): { id: string; key: string } | null {
  const def = useEditor.getState().catalogue.get("LoadImage");
  const key = def?.inputs.find((input) => input.widget === "image")?.name;
  if (!def || key === undefined) return null;
  return { id: putNode((id, pos) => newNode(def, id, pos), [at[0] - 135, at[1] - 100]), key };
}

/** Set one widget's value on the open level, or on the one that `path` leads to. */
export function writeWidget(
  node: string,
  key: string,
  value: unknown,
  kind: string | null = `widget ${node} ${key}`,
  path?: readonly string[],
): void {
  edit((level) => mapNode(level, node, (before) => setWidget(before, key, value, editContext())), kind, path);
}

export const linkOf = (id: Id) => linksById(levelOf(current())).get(String(id));
export const nodeOf = (id: string) => nodesById(levelOf(current())).get(id);
