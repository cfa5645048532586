/** What is open and how it got there: tabs, their documents and histories, what is selected, where one looks. */

import { create } from "zustand";
import defaultWorkflow from "../../../workflows/text_to_image.json";
import { copied, paste, readClip, withDefinitions } from "../document/clipboard";
import { type Doc, emptyDocument, type Id, type Level, nodesById, subgraphs } from "../document/document";
import { changeLevel, deleteNodes, disconnect, levelAt, mapNodes } from "../document/edits";
import { deleteGroups } from "../document/grouping";
import { amend, begin, type History, redo, settle, step, undo } from "../document/history";
import { newId } from "../document/ids";
import { holds } from "../document/lifting";
import type { Catalogue } from "../document/schema";
import type { Surroundings } from "../document/widget_views";
import { useWords } from "../i18n";
import { labelled } from "../i18n/node_names";
import { notify } from "./notices";

export interface View {
  x: number;
  y: number;
  zoom: number;
}

export interface Tab {
  id: string;
  name: string;
  /** Its file in the server's library; null: never saved. */
  file: string | null;
  /** The fingerprint of that file as it was when last saved or opened here; null: not known. */
  fileWas: string | null;
  /** The document as it was when last saved or opened. */
  clean: Doc;
  history: History<Doc>;
  /** The subgraphs entered, outermost first: [placed node, definition]. */
  path: { holder: string; definition: string }[];
  selection: ReadonlySet<string>;
  /** The groups selected, by index. */
  groups: ReadonlySet<number>;
  link: Id | null;
  views: Record<string, View>;
}

interface Editor {
  catalogue: Catalogue;
  tabs: Tab[];
  active: string;
  /** Counts what asks the canvas to show everything. */
  fit: number;
}

const NO_GROUPS: ReadonlySet<number> = new Set();

export const useEditor = create<Editor>(() => {
  const first = newTab("text_to_image", defaultWorkflow as unknown as Doc);
  return { catalogue: new Map(), tabs: [first], active: first.id, fit: 0 };
});

export function newTab(name: string, doc: Doc, file: string | null = null, fileWas: string | null = null): Tab {
  return {
    id: newId(),
    name,
    file,
    fileWas,
    clean: doc,
    history: begin(doc),
    path: [],
    selection: new Set(),
    groups: NO_GROUPS,
    link: null,
    views: {},
  };
}

export const activeTab = (state: Editor): Tab =>
  state.tabs.find((tab) => tab.id === state.active) ?? (state.tabs[0] as Tab);
export const definitionPath = (tab: Tab): string[] => tab.path.map((entry) => entry.definition);
export const levelOf = (tab: Tab): Level => levelAt(tab.history.present, definitionPath(tab));
export const viewKey = (tab: Tab): string => definitionPath(tab).at(-1) ?? "";
export const isChanged = (tab: Tab): boolean => tab.history.present !== tab.clean;

/** The id that a node of the open level has when the workflow runs. */
export const flatId = (tab: Tab, id: Id): string => [...tab.path.map((entry) => entry.holder), id].join(":");

export function useTab<T>(select: (tab: Tab) => T): T {
  return useEditor((state) => select(activeTab(state)));
}

export const current = (): Tab => activeTab(useEditor.getState());

/** Work with these nodes from here on, under their names in the chosen language. */
export function showCatalogue(catalogue: Catalogue): void {
  useEditor.setState({ catalogue: labelled(catalogue, useWords.getState().nodeNames) });
}

useWords.subscribe((now, before) => {
  if (now.nodeNames !== before.nodeNames) showCatalogue(useEditor.getState().catalogue);
});

export const surroundings = (): Surroundings => ({
  doc: current().history.present,
  catalogue: useEditor.getState().catalogue,
});

export function changeTab(change: (tab: Tab) => Tab, id = useEditor.getState().active): void {
  useEditor.setState((state) => ({ tabs: state.tabs.map((tab) => (tab.id === id ? change(tab) : tab)) }));
}

export function editDocument(change: (doc: Doc) => Doc, kind: string | null = null): void {
  changeTab((tab) => ({ ...tab, history: step(tab.history, change(tab.history.present), kind) }));
}

/** One step on the open level. */
export function edit(change: (level: Level) => Level, kind: string | null = null): void {
  editDocument((doc) => changeLevel(doc, definitionPath(current()), change), kind);
}

/** One step on the level that is open now, taken when something slow has ended: by then another may be open. */
export function editLater(): (change: (level: Level) => Level) => void {
  const { id, history } = current();
  const path = definitionPath(current()).filter((definition) => subgraphs(history.present).has(definition));
  return (change) => {
    const tab = useEditor.getState().tabs.find((entry) => entry.id === id);
    if (!tab || path.some((definition) => !subgraphs(tab.history.present).has(definition))) return; // closed, or dissolved
    changeTab(
      (now) => ({ ...now, history: step(now.history, changeLevel(now.history.present, path, change), null) }),
      id,
    );
  };
}

export function amendDocument(id: string, change: (doc: Doc) => Doc): void {
  changeTab((tab) => {
    const present = change(tab.history.present);
    return {
      ...tab,
      clean: tab.clean === tab.history.present ? present : tab.clean,
      history: amend(tab.history, present),
    };
  }, id);
}

export const settleStep = (): void => changeTab((tab) => ({ ...tab, history: settle(tab.history) }));

export const select = (ids: Iterable<string>, link: Id | null = null, groups: Iterable<number> = NO_GROUPS): void =>
  changeTab((tab) => ({ ...tab, selection: new Set(ids), groups: new Set(groups), link }));

/** As much of a path as leads through nodes that are there. */
function soundPath(doc: Doc, path: Tab["path"]): Tab["path"] {
  let level: Level = doc;
  for (const [depth, { holder, definition }] of path.entries()) {
    const next = subgraphs(doc).get(definition);
    if (!next || nodesById(level).get(holder)?.type !== definition) return path.slice(0, depth);
    level = next;
  }
  return path;
}

function travel(go: (history: History<Doc>) => History<Doc>): void {
  changeTab((tab) => {
    const history = go(tab.history);
    const path = soundPath(history.present, tab.path);
    const level = levelAt(
      history.present,
      path.map((entry) => entry.definition),
    );
    const there = new Set(level.nodes.map((node) => String(node.id)));
    const selection = new Set([...tab.selection].filter((id) => there.has(id)));
    const groups = new Set([...tab.groups].filter((index) => index < (level.groups?.length ?? 0)));
    return { ...tab, history, path, link: null, selection, groups };
  });
}

export const undoStep = (): void => travel(undo);
export const redoStep = (): void => travel(redo);

export function openTab(name: string, doc: Doc, file: string | null = null, fileWas: string | null = null): void {
  const tab = newTab(name, doc, file, fileWas);
  useEditor.setState((state) => {
    const shown = activeTab(state);
    const blank = !isChanged(shown) && !shown.history.present.nodes.length && !shown.file;
    const tabs = blank ? state.tabs.map((entry) => (entry === shown ? tab : entry)) : [...state.tabs, tab];
    return { tabs, active: tab.id, fit: state.fit + 1 };
  });
}

export function closeTab(id: string): void {
  useEditor.setState((state) => {
    const at = state.tabs.findIndex((tab) => tab.id === id);
    const tabs = state.tabs.filter((tab) => tab.id !== id);
    if (!tabs.length) tabs.push(newTab("untitled", emptyDocument()));
    const active = state.active === id ? (tabs[Math.max(0, at - 1)] as Tab).id : state.active;
    return { tabs, active };
  });
}

export const showTab = (id: string): void => useEditor.setState({ active: id });
export const fitView = (): void => useEditor.setState((state) => ({ fit: state.fit + 1 }));

export function deleteSelected(): void {
  const { selection, groups, link } = current();
  const { catalogue } = useEditor.getState();
  if (link !== null) edit((level) => disconnect(level, [link]));
  else if (selection.size || groups.size)
    edit((level) => deleteGroups(deleteNodes(level, selection, catalogue), groups));
  select([]);
}

export function copySelected(): string | null {
  const tab = current();
  return tab.selection.size || tab.groups.size
    ? copied(tab.history.present, levelOf(tab), tab.selection, tab.groups)
    : null;
}

export function pasteText(text: string, place: { at: [number, number] } | { offset: [number, number] }): boolean {
  const clip = readClip(text);
  if (!clip) return false;
  const path = definitionPath(current());
  const types = clip.nodes.map((node) => node.type);
  if (holds(withDefinitions(current().history.present, clip), types, new Set(path))) {
    notify("error", "subgraph.circle");
    return true;
  }
  let ids = new Set<string>();
  let groups = new Set<number>();
  editDocument((doc) =>
    changeLevel(withDefinitions(doc, clip), path, (level) => {
      const pasted = paste(level, clip, place);
      ({ ids, groups } = pasted);
      return pasted.level;
    }),
  );
  select(ids, null, groups);
  return true;
}

export function duplicateSelected(): void {
  const text = copySelected();
  if (text) pasteText(text, { offset: [30, 30] });
}

/** Set the mode of all that is selected, or take it away where all have it. */
export function toggleMode(mode: number): void {
  const { selection } = current();
  if (!selection.size) return;
  edit((level) => {
    const chosen = level.nodes.filter((node) => selection.has(String(node.id)));
    const all = chosen.every((node) => node.mode === mode);
    return mapNodes(level, selection, (node) => ({ ...node, mode: all ? 0 : mode }));
  });
}

export function toggleCollapsed(): void {
  const { selection } = current();
  if (!selection.size) return;
  edit((level) => {
    const all = level.nodes.every((node) => !selection.has(String(node.id)) || node.flags?.collapsed);
    return mapNodes(level, selection, (node) => ({ ...node, flags: { ...node.flags, collapsed: !all } }));
  });
}
