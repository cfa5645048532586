/** Commands for subgraphs. */

import { type Doc, nodesById, subgraphs } from "../document/document";
import { changeLevel, levelAt, mapNode, withDefinition } from "../document/edits";
import { withoutGroupNodes } from "../document/group_conversion";
import { groupName } from "../document/group_nodes";
import { newId } from "../document/ids";
import { isLifted, lift, madeUnique, mapHolders, uses } from "../document/lifting";
import { movePort, type PortPlace, removePort, renamePort } from "../document/ports";
import { unwrap, wrap } from "../document/subgraph_edits";
import { t } from "../i18n";
import { ask } from "./dialogs";
import { changeTab, current, definitionPath, editContext, editDocument, levelOf, select, type Tab } from "./editor";

export function makeSubgraph(): void {
  const tab = current();
  const made = wrap(tab.history.present, definitionPath(tab), tab.selection, t("subgraph.name"), editContext());
  if (!made) return;
  editDocument(() => made.doc);
  select([made.id]);
}

/** Convert all group nodes of one type to nodes of one subgraph. */
export function groupToSubgraph(type: string): void {
  const { catalogue } = editContext();
  const name = groupName(type);
  if (name !== null) editDocument((doc) => withoutGroupNodes(doc, catalogue, newId, name));
}

export function dissolveSelected(): void {
  const tab = current();
  const [id] = tab.selection;
  const made = id === undefined ? null : unwrap(tab.history.present, definitionPath(tab), id, editContext());
  if (!made) return;
  editDocument(() => made.doc);
  select(made.ids);
}

const none = { selection: new Set<string>(), groups: new Set<number>(), link: null };

/** Open a subgraph through one of its nodes. */
export function enterSubgraph(id: string): void {
  const node = nodesById(levelOf(current())).get(id);
  if (!node || !subgraphs(current().history.present).has(node.type)) return;
  changeTab((tab) => ({ ...tab, ...none, path: [...tab.path, { holder: id, definition: node.type }] }));
}

/** Go back to a level and select the node of the subgraph that was left. */
export function leaveTo(depth: number): void {
  changeTab((tab) => ({
    ...tab,
    ...none,
    path: tab.path.slice(0, depth),
    selection: new Set(tab.path.slice(depth, depth + 1).map((entry) => entry.holder)),
  }));
}

export function makeUnique(id: string): void {
  const tab = current();
  const holder = nodesById(levelOf(tab)).get(id);
  if (holder)
    editDocument((doc) =>
      madeUnique(doc, (listed, change) => changeLevel(listed, definitionPath(tab), change), holder, newId()),
    );
}

/** Show or hide a field of the open subgraph on the subgraph's nodes. */
export function toggleLifted(definition: string, inner: string, name: string, on: boolean): void {
  editDocument((doc) => lift(doc, definition, inner, name, on));
}

/** Whether the node through which the subgraph was opened shows a field of a node here; null: not inside a subgraph. */
export function liftedHere(inner: string, name: string): boolean | null {
  const tab = current();
  const place = tab.path.at(-1);
  if (!place) return null;
  const outer =
    tab.path.length > 1 ? subgraphs(tab.history.present).get(tab.path.at(-2)?.definition ?? "") : tab.history.present;
  const holder = outer && nodesById(outer).get(place.holder);
  return holder ? isLifted(holder, inner, name) : null;
}

export async function askPortName(place: PortPlace): Promise<void> {
  const port = subgraphs(current().history.present).get(place.definition)?.[place.side]?.[place.index];
  if (!port) return;
  const given = await ask({
    title: t("port.rename"),
    field: { label: t("port.name"), value: port.label || port.name },
    choices: [{ id: "rename", label: t("menu.rename"), kind: "primary" }],
  });
  if (given) editDocument((doc) => renamePort(doc, place, given.value.trim()));
}

export const shiftPort = (place: PortPlace, by: -1 | 1): void => editDocument((doc) => movePort(doc, place, by));
export const dropPort = (place: PortPlace): void => editDocument((doc) => removePort(doc, place));

/** The title of the node through which a subgraph was entered, or the subgraph's name. */
export function placedName(doc: Doc, path: Tab["path"], depth: number): string {
  const { holder, definition } = path[depth] as Tab["path"][number];
  const outside = levelAt(
    doc,
    path.slice(0, depth).map((entry) => entry.definition),
  );
  return nodesById(outside).get(holder)?.title || subgraphs(doc).get(definition)?.name || definition;
}

/** Ask for a name for the open subgraph and the node through which it was entered. */
export async function askSubgraphName(): Promise<void> {
  const { history, path } = current();
  const place = path.at(-1);
  if (!place) return;
  const given = await ask({
    title: t("subgraph.rename"),
    field: {
      label: t("port.name"),
      value: placedName(history.present, path, path.length - 1),
      check: (value) => (value.trim() ? null : t("file.nameMissing")),
    },
    choices: [{ id: "rename", label: t("menu.rename"), kind: "primary" }],
  });
  if (!given) return;
  const name = given.value.trim();
  const outside = path.slice(0, -1).map((entry) => entry.definition);
  editDocument((doc) => {
    const after = renamed(doc, place.definition, name);
    return changeLevel(after, outside, (level) => mapNode(level, place.holder, (node) => ({ ...node, title: name })));
  });
}

/** Set a node's title; "" removes it. A subgraph that is used only once is renamed with its node. */
export function retitle(id: string, title: string): void {
  const path = definitionPath(current());
  editDocument((doc) => {
    const type = nodesById(levelAt(doc, path)).get(id)?.type ?? "";
    const after = title && subgraphs(doc).has(type) && uses(doc, type) === 1 ? renamed(doc, type, title) : doc;
    return changeLevel(after, path, (level) =>
      mapNode(level, id, ({ title: _, ...node }) => ({
        ...node,
        id: node.id,
        type: node.type,
        ...(title ? { title } : {}),
      })),
    );
  });
}

/** The subgraph's name, and the titles of its nodes that were the same. */
function renamed(doc: Doc, definition: string, name: string): Doc {
  const before = subgraphs(doc).get(definition);
  if (!before) return doc;
  const after = withDefinition(doc, { ...before, name });
  return mapHolders(after, definition, (holder) =>
    holder.title === before.name ? { ...holder, title: name } : holder,
  );
}
