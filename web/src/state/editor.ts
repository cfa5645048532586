/** The open tabs with their documents, histories, selection and view. */

import { create } from "zustand";
import defaultWorkflow from "../../../workflows/text_to_image.json";
import { opensAsApp } from "../document/app_fields";
import { copied, paste, readClip, withDefinitions } from "../document/clipboard";
import { type Doc, emptyDocument, type Id, type Level, nodesById, subgraphs } from "../document/document";
import { withDynamicSlots } from "../document/dynamic_slots";
import { changeLevel, deleteNodes, disconnect, levelAt, mapNodes } from "../document/edits";
import { deleteGroups } from "../document/grouping";
import { amend, begin, goTo, type History, redo, settle, step, undo } from "../document/history";
import { newId } from "../document/ids";
import { holds } from "../document/lifting";
import type { Catalogue } from "../document/schema";
import type { EditContext } from "../document/widget_views";
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
  /** The fingerprint of that file when it was last saved or opened here; null: unknown. */
  fileWas: string | null;
  /** The document when it was last saved or opened. */
  clean: Doc;
  history: History<Doc>;
  /** The opened subgraphs, outermost first: [placed node, definition]. */
  path: { holder: string; definition: string }[];
  selection: ReadonlySet<string>;
  /** The selected groups, by index. */
  groups: ReadonlySet<number>;
  link: Id | null;
  views: Record<string, View>;
  /** Whether it is shown as an app: a form instead of the graph. */
  app: boolean;
}

interface Editor {
  catalogue: Catalogue;
  tabs: Tab[];
  active: string;
  /** Counter of requests to show everything on the canvas. */
  fit: number;
  /** Counter of workflows that were opened in this page. */
  opened: number;
}

const NO_GROUPS: ReadonlySet<number> = new Set();
const PHONE = "(width <= 480px)";
const GRAPH = "sumi.graph";

export const useEditor = create<Editor>(() => {
  const first = newTab("text_to_image", defaultWorkflow as unknown as Doc);
  return { catalogue: new Map(), tabs: [first], active: first.id, fit: 0, opened: 0 };
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
    app: doc.nodes.length > 0 && (opensAsApp(doc) || isAppFile(file ?? name) || prefersApp()),
  };
}

/** Whether a file's name says that it opens as an app. */
export function isAppFile(name: string): boolean {
  return /\.app(\.json)?$/i.test(name);
}

/** A phone shows apps, unless its user has chosen the graph. */
function prefersApp(): boolean {
  return typeof matchMedia === "function" && matchMedia(PHONE).matches && sessionStorage.getItem(GRAPH) === null;
}

export function toggleApp(): void {
  const app = !current().app;
  changeTab((tab) => ({ ...tab, app }));
  if (app) sessionStorage.removeItem(GRAPH);
  else sessionStorage.setItem(GRAPH, "yes");
}

export const activeTab = (state: Editor): Tab =>
  state.tabs.find((tab) => tab.id === state.active) ?? (state.tabs[0] as Tab);
export const definitionPath = (tab: Tab): string[] => tab.path.map((entry) => entry.definition);
export const levelOf = (tab: Tab): Level => levelAt(tab.history.present, definitionPath(tab));
export const viewKey = (tab: Tab): string => definitionPath(tab).at(-1) ?? "";
export const isChanged = (tab: Tab): boolean => tab.history.present !== tab.clean;

/** The run-time id of a node of the open level. */
export const flatId = (tab: Tab, id: Id): string => [...tab.path.map((entry) => entry.holder), id].join(":");

export function useTab<T>(select: (tab: Tab) => T): T {
  return useEditor((state) => select(activeTab(state)));
}

export const current = (): Tab => activeTab(useEditor.getState());

/** Use these nodes from now on, with their names in the chosen language. */
export function showCatalogue(catalogue: Catalogue): void {
  useEditor.setState({ catalogue: labelled(catalogue, useWords.getState().nodeNames) });
}

useWords.subscribe((now, before) => {
  if (now.nodeNames !== before.nodeNames) showCatalogue(useEditor.getState().catalogue);
});

export const editContext = (): EditContext => ({
  doc: current().history.present,
  catalogue: useEditor.getState().catalogue,
});

export function changeTab(change: (tab: Tab) => Tab, id = useEditor.getState().active): void {
  useEditor.setState((state) => ({ tabs: state.tabs.map((tab) => (tab.id === id ? change(tab) : tab)) }));
}

export function editDocument(change: (doc: Doc) => Doc, kind: string | null = null): void {
  changeTab((tab) => changed(tab, change, kind));
}

const changed = (tab: Tab, change: (doc: Doc) => Doc, kind: string | null): Tab => {
  const { present } = tab.history;
  return {
    ...tab,
    history: step(tab.history, withDynamicSlots(change(present), present, useEditor.getState().catalogue), kind),
  };
};

/** One undo step on the open level, or on the one that `path` leads to. */
export function edit(
  change: (level: Level) => Level,
  kind: string | null = null,
  path: readonly string[] = definitionPath(current()),
): void {
  editDocument((doc) => changeLevel(doc, path, change), kind);
}

/** One undo step on the level that is open now (or that `levels` lead to), for a slow operation: another level may be open when it ends. */
export function editLater(levels?: readonly string[]): (change: (level: Level) => Level) => void {
  const { id, history } = current();
  const path = (levels ?? definitionPath(current())).filter((definition) => subgraphs(history.present).has(definition));
  return (change) => {
    const tab = useEditor.getState().tabs.find((entry) => entry.id === id);
    if (!tab || path.some((definition) => !subgraphs(tab.history.present).has(definition))) return; // closed, or dissolved
    changeTab((now) => changed(now, (doc) => changeLevel(doc, path, change), null), id);
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

/** The part of a path whose nodes still exist. */
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
/** Go to a state of the history, by its index in past, present and future. */
export const goToStep = (index: number): void => travel((history) => goTo(history, index));

export function openTab(name: string, doc: Doc, file: string | null = null, fileWas: string | null = null): void {
  const tab = newTab(name, doc, file, fileWas);
  useEditor.setState((state) => {
    const shown = activeTab(state);
    const blank = !isChanged(shown) && !shown.history.present.nodes.length && !shown.file;
    const tabs = blank ? state.tabs.map((entry) => (entry === shown ? tab : entry)) : [...state.tabs, tab];
    return { tabs, active: tab.id, fit: state.fit + 1, opened: state.opened + 1 };
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

/** Set the mode of everything selected, or clear it if all of it has this mode. */
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
