/**
 * What is open, kept in the browser: a reload, a crash or a closed window loses nothing.
 *
 * Every window keeps its own tabs, each in a record of its own, in IndexedDB: it has room for large workflows, and
 * what a page handed over is kept even if the page is killed. A window is live while it holds the lock of its name;
 * a new window takes over what was in the one closed last, and can look at what others left unsaved.
 */

import { type Doc, emptyDocument } from "../document/document";
import { newId } from "../document/ids";
import { activeTab, isChanged, newTab, type Tab, useEditor } from "./editor";
import { notify } from "./notices";

interface KeptWindow {
  id: string;
  /** When it was last written, in milliseconds. */
  at: number;
  active: string;
  order: string[];
}

export interface KeptTab {
  window: string;
  id: string;
  at: number;
  name: string;
  file: string | null;
  /** Missing where an earlier version kept the tab. */
  fileWas?: string | null;
  doc: Doc;
  changed: boolean;
  views: Tab["views"];
  path: Tab["path"];
}

const WINDOW = "sumi.window";
/** Set once anything was kept: a newcomer's page need not wait for a look. */
const ANY = "sumi.kept";
const LOCK = "sumi.window.";
const DELAY = 250;
const PATIENCE = 1500;
const A_MONTH = 30 * 24 * 3600 * 1000;

let windowId = newId();

const answered = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

let opening: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("sumi", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("windows", { keyPath: "id" });
      request.result.createObjectStore("tabs", { keyPath: ["window", "id"] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

function remembered(storage: () => Storage, key: string): string | null {
  try {
    return storage().getItem(key);
  } catch {
    return null; // storage is switched off
  }
}

function remember(storage: () => Storage, key: string, value: string): void {
  try {
    storage().setItem(key, value);
  } catch {
    // Full or switched off: then the next page takes a little longer to begin.
  }
}

const session = () => sessionStorage;
const local = () => localStorage;

/** Names of the windows that are open now; null where the browser cannot tell. */
async function live(): Promise<ReadonlySet<string> | null> {
  if (!navigator.locks) return null;
  const { held = [] } = await navigator.locks.query();
  return new Set(held.flatMap(({ name = "" }) => (name.startsWith(LOCK) ? [name.slice(LOCK.length)] : [])));
}

/** Hold a window's name for as long as this page lives. False: another page has it, and keeps it for longer than a reload takes. */
function claim(id: string): Promise<boolean> {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const hold = () => {
      resolve(true);
      return new Promise(() => undefined);
    };
    navigator.locks.request(LOCK + id, { signal: AbortSignal.timeout(400) }, hold).catch(() => resolve(false));
  });
}

/** Open again what was open before a reload or a crash, or in the window closed last. */
export async function recallSession(): Promise<void> {
  const own = remembered(session, WINDOW);
  let found: string | null = null;
  if (own !== null || remembered(local, ANY) !== null) {
    const looking = recall(own).catch(() => null); // kept by another version, or no database here
    found = await Promise.race([looking, new Promise<null>((resolve) => setTimeout(() => resolve(null), PATIENCE))]);
  }
  if (found === null) void claim(windowId);
  else windowId = found;
  remember(session, WINDOW, windowId);
  // Here, not when something is kept: a crash right after that would take this with it.
  remember(local, ANY, "yes");
}

/** The window whose place this page takes; null: none. */
async function recall(own: string | null): Promise<string | null> {
  const store = await database();
  const all = await answered<KeptWindow[]>(store.transaction("windows").objectStore("windows").getAll());
  const latest = all.toSorted((first, second) => second.at - first.at);
  let source = latest.find((entry) => entry.id === own);
  let taken = source !== undefined && (await claim(source.id));
  if (!source) {
    const held = await live();
    source = held === null ? latest[0] : latest.find((entry) => !held.has(entry.id));
    taken = source !== undefined && (await claim(source.id));
    if (!taken) return null;
  }
  if (!source) return null;
  // A window that was duplicated shows what the other does, and keeps its own from then on.
  const range = IDBKeyRange.bound([source.id], [source.id, []]);
  const kept = await answered<KeptTab[]>(store.transaction("tabs").objectStore("tabs").getAll(range));
  const order = source.order;
  const restored = kept
    .toSorted((first, second) => order.indexOf(first.id) - order.indexOf(second.id))
    .map(restoredTab);
  if (restored.length) {
    useEditor.setState({ tabs: restored, active: source.active });
    activeTab(useEditor.getState());
    if (taken) for (const tab of restored) known.set(tab.id, tab);
  }
  return taken ? source.id : null;
}

function restoredTab({ id, name, file, fileWas = null, doc, changed, views, path }: KeptTab): Tab {
  return { ...newTab(name, doc, file, fileWas), id, views, path, clean: changed ? emptyDocument() : doc };
}

/** The tabs as they were when last handed over. */
const known = new Map<string, Tab>();
/** The last attempt failed: what is open is in this page only. */
let unkept = false;

const same = (first: Tab | undefined, second: Tab) =>
  first !== undefined &&
  first.history.present === second.history.present &&
  first.name === second.name &&
  first.file === second.file &&
  first.fileWas === second.fileWas &&
  first.views === second.views &&
  first.path === second.path &&
  isChanged(first) === isChanged(second);

let timer = 0;
let lastActive = "";

async function keep(): Promise<void> {
  window.clearTimeout(timer);
  timer = 0;
  const { tabs, active } = useEditor.getState();
  const fresh = tabs.filter((tab) => !same(known.get(tab.id), tab));
  const closed = [...known.keys()].filter((id) => !tabs.some((tab) => tab.id === id));
  if (!fresh.length && !closed.length && active === lastActive) return;
  const before = new Map(known);
  try {
    const store = await database();
    for (const tab of fresh) known.set(tab.id, tab);
    for (const id of closed) known.delete(id);
    await write(store, fresh, closed, { id: windowId, at: Date.now(), active, order: tabs.map((tab) => tab.id) });
    lastActive = active;
    unkept = false;
  } catch {
    known.clear();
    for (const [id, tab] of before) known.set(id, tab);
    if (!unkept) notify("error", "file.storageFull");
    unkept = true;
  }
}

function write(store: IDBDatabase, fresh: Tab[], closed: string[], entry: KeptWindow): Promise<void> {
  return new Promise((resolve, reject) => {
    const change = store.transaction(["windows", "tabs"], "readwrite");
    change.oncomplete = () => resolve();
    change.onabort = () => reject(change.error);
    const tabs = change.objectStore("tabs");
    for (const tab of fresh) {
      const { id, name, file, fileWas, views, path } = tab;
      tabs.put({
        window: windowId,
        id,
        at: entry.at,
        name,
        file,
        fileWas,
        doc: tab.history.present,
        changed: isChanged(tab),
        views,
        path,
      } satisfies KeptTab);
    }
    for (const id of closed) tabs.delete([windowId, id]);
    change.objectStore("windows").put(entry);
    // Said now, the browser finishes even if this page is gone the next moment.
    change.commit();
  });
}

export function keepSession(): void {
  useEditor.subscribe(() => {
    timer ||= window.setTimeout(() => void keep(), DELAY);
  });
  const leave = () => void keep();
  window.addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  window.addEventListener("beforeunload", (event) => {
    if (unkept && useEditor.getState().tabs.some(isChanged)) event.preventDefault();
  });
  // The database is open by the time that something is to be kept in a hurry.
  void database().then(tidy, () => undefined);
}

/** What windows long closed left, if nothing of it is unsaved, goes. */
async function tidy(): Promise<void> {
  const store = await database();
  const all = await answered<KeptWindow[]>(store.transaction("windows").objectStore("windows").getAll());
  const held = await live();
  if (held === null) return;
  const unsaved = new Set((await leftTabs(store)).map((tab) => tab.window));
  const gone = all.filter(
    ({ id, at }) => id !== windowId && !held.has(id) && !unsaved.has(id) && Date.now() - at > A_MONTH,
  );
  const change = store.transaction(["windows", "tabs"], "readwrite");
  for (const { id } of gone) {
    change.objectStore("windows").delete(id);
    change.objectStore("tabs").delete(IDBKeyRange.bound([id], [id, []]));
  }
}

async function leftTabs(store: IDBDatabase): Promise<KeptTab[]> {
  const held = await live();
  if (held === null) return [];
  const tabs = await answered<KeptTab[]>(store.transaction("tabs").objectStore("tabs").getAll());
  return tabs.filter((tab) => tab.changed && tab.window !== windowId && !held.has(tab.window));
}

/** Workflows that windows closed since left unsaved, newest first. */
export async function leftovers(): Promise<KeptTab[]> {
  try {
    return (await leftTabs(await database())).toSorted((first, second) => second.at - first.at);
  } catch {
    return []; // no database here: nothing was kept
  }
}

/** Into this window, or away. */
export async function takeLeftover(left: KeptTab, open: boolean): Promise<void> {
  if (open) {
    const tab = { ...restoredTab(left), id: newId() };
    useEditor.setState((state) => ({ tabs: [...state.tabs, tab], active: tab.id }));
    await keep();
  }
  const store = await database();
  store.transaction("tabs", "readwrite").objectStore("tabs").delete([left.window, left.id]);
}
