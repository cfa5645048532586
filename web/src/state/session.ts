/**
 * Stores the open tabs in the browser, so that a reload, a crash or closing the window loses nothing.
 *
 * Every window stores its own tabs, each in a separate record, in IndexedDB: it has room for large workflows, and writes
 * finish even if the page is killed. A window is open while it holds the lock of its name. A new window restores the
 * tabs of the window closed last, and can open unsaved workflows of other closed windows.
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
  /** Missing if an earlier version stored the tab. */
  fileWas?: string | null;
  doc: Doc;
  changed: boolean;
  views: Tab["views"];
  path: Tab["path"];
  /** Missing if an earlier version stored the tab. */
  app?: boolean;
}

const WINDOW = "sumi.window";
/** Set once anything has been stored: a new user's page need not wait for the database. */
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
    return null; // storage is disabled
  }
}

function remember(storage: () => Storage, key: string, value: string): void {
  try {
    storage().setItem(key, value);
  } catch {
    // Storage is full or disabled: the next page takes a little longer to start.
  }
}

const session = () => sessionStorage;
const local = () => localStorage;

/** Names of the open windows; null if the browser cannot tell. */
async function live(): Promise<ReadonlySet<string> | null> {
  if (!navigator.locks) return null;
  const { held = [] } = await navigator.locks.query();
  return new Set(held.flatMap(({ name = "" }) => (name.startsWith(LOCK) ? [name.slice(LOCK.length)] : [])));
}

/** Hold a window's name while this page is open. False: another page holds it for longer than a reload takes. */
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

/** Open the tabs from before a reload or a crash, or from the window closed last. */
export async function recallSession(): Promise<void> {
  const own = remembered(session, WINDOW);
  let found: string | null = null;
  if (own !== null || remembered(local, ANY) !== null) {
    const looking = recall(own).catch(() => null); // stored by another version, or no database
    found = await Promise.race([looking, new Promise<null>((resolve) => setTimeout(() => resolve(null), PATIENCE))]);
  }
  if (found === null) void claim(windowId);
  else windowId = found;
  remember(session, WINDOW, windowId);
  // Do this now, not at the next save: a crash right after it would lose this, too.
  remember(local, ANY, "yes");
}

/** The window that this page replaces; null: none. */
async function recall(own: string | null): Promise<string | null> {
  const store = await database();
  const all = await answered<KeptWindow[]>(store.transaction("windows").objectStore("windows").getAll());
  const latest = all.toSorted((first, second) => second.at - first.at);
  let source = latest.find((entry) => entry.id === own);
  let claimed = source !== undefined && (await claim(source.id));
  if (!source) {
    const held = await live();
    source = held === null ? latest[0] : latest.find((entry) => !held.has(entry.id));
    claimed = source !== undefined && (await claim(source.id));
    if (!claimed) return null;
  }
  if (!source) return null;
  // A duplicated window starts with the other's tabs and stores its own from then on.
  const range = IDBKeyRange.bound([source.id], [source.id, []]);
  const kept = await answered<KeptTab[]>(store.transaction("tabs").objectStore("tabs").getAll(range));
  const order = source.order;
  const restored = kept
    .toSorted((first, second) => order.indexOf(first.id) - order.indexOf(second.id))
    .map(restoredTab);
  if (restored.length) {
    useEditor.setState({ tabs: restored, active: source.active });
    activeTab(useEditor.getState());
    if (claimed) for (const tab of restored) known.set(tab.id, tab);
  }
  return claimed ? source.id : null;
}

function restoredTab({ id, name, file, fileWas = null, doc, changed, views, path, app }: KeptTab): Tab {
  const tab = newTab(name, doc, file, fileWas);
  return { ...tab, id, views, path, app: app ?? tab.app, clean: changed ? emptyDocument() : doc };
}

/** The tabs when they were last written. */
const known = new Map<string, Tab>();
/** Whether the last attempt failed, so that open tabs exist in this page only. */
let saveFailed = false;

const same = (first: Tab | undefined, second: Tab) =>
  first !== undefined &&
  first.history.present === second.history.present &&
  first.name === second.name &&
  first.file === second.file &&
  first.fileWas === second.fileWas &&
  first.views === second.views &&
  first.path === second.path &&
  first.app === second.app &&
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
    saveFailed = false;
  } catch {
    known.clear();
    for (const [id, tab] of before) known.set(id, tab);
    if (!saveFailed) notify("error", "file.storageFull");
    saveFailed = true;
  }
}

function write(store: IDBDatabase, fresh: Tab[], closed: string[], entry: KeptWindow): Promise<void> {
  return new Promise((resolve, reject) => {
    const change = store.transaction(["windows", "tabs"], "readwrite");
    change.oncomplete = () => resolve();
    change.onabort = () => reject(change.error);
    const tabs = change.objectStore("tabs");
    for (const tab of fresh) {
      const { id, name, file, fileWas, views, path, app } = tab;
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
        app,
      } satisfies KeptTab);
    }
    for (const id of closed) tabs.delete([windowId, id]);
    change.objectStore("windows").put(entry);
    // If requested now, the browser finishes it even if the page closes right after.
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
    if (saveFailed && useEditor.getState().tabs.some(isChanged)) event.preventDefault();
  });
  // Open the database now, so that it is ready for an urgent save.
  void database().then(tidy, () => undefined);
}

/** Delete old windows without unsaved tabs. */
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

/** Unsaved workflows from closed windows, newest first. */
export async function leftovers(): Promise<KeptTab[]> {
  try {
    return (await leftTabs(await database())).toSorted((first, second) => second.at - first.at);
  } catch {
    return []; // no database, so nothing was stored
  }
}

/** Open it in this window, or delete it. */
export async function takeLeftover(left: KeptTab, open: boolean): Promise<void> {
  if (open) {
    const tab = { ...restoredTab(left), id: newId() };
    useEditor.setState((state) => ({ tabs: [...state.tabs, tab], active: tab.id }));
    await keep();
  }
  const store = await database();
  store.transaction("tabs", "readwrite").objectStore("tabs").delete([left.window, left.id]);
}
