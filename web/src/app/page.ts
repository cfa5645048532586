/** Opens the app that the page's address names: `/app/NAME`. */

import type { Doc } from "../document/document";
import { parseJson, writeJson } from "../document/json";
import { readCatalogue } from "../document/schema";
import { readWorkflow } from "../format/read";
import { Refused, type SavedApp, server } from "../server/client";
import { showForm } from "../state/app";
import { changeTab, newTab, showCatalogue, useEditor } from "../state/editor";
import { takeCatalogueFrom } from "../state/files";
import { fingerprint } from "../state/fingerprint";

/** The name in the address; "": the list of apps. */
export function appName(): string {
  const root = new URL(".", document.baseURI).pathname;
  const path = location.pathname.slice(root.length).replace(/^app\/?/, "");
  return path.split("/").map(decodeURIComponent).join("/");
}

export type Opened = "opened" | "not found" | "unreadable";

/** Open an app in the only tab of this page. Rejects if the server cannot be reached. */
export async function openApp(name: string): Promise<Opened> {
  let app: SavedApp;
  try {
    app = await server.app(name);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return "not found";
    if (error instanceof Refused && error.status === 400) return "unreadable";
    throw error;
  }
  takeCatalogueFrom(async () => readCatalogue((await server.app(name)).nodes));
  showCatalogue(readCatalogue(app.nodes));
  const saved = readWorkflow(app.workflow, useEditor.getState().catalogue);
  const print = fingerprint(writeJson(app.workflow, 1));
  const tab = { ...newTab(app.name.replace(/^.*\//, ""), saved, app.file ?? null), id: `app:${name}`, app: true };
  const kept = recalled(name, print);
  if (kept) tab.history = { ...tab.history, present: kept };
  useEditor.setState({ tabs: [tab], active: tab.id });
  showForm(tab.id, saved, app);
  keepChanges(name, print);
  if (app.file !== undefined) void rememberFile(app.file, tab.id);
  return "opened";
}

/** Remember the file's text, so that saving asks before it replaces another window's changes. */
async function rememberFile(file: string, id: string): Promise<void> {
  const text = await server.readFile(`workflows/${file}`).catch(() => null);
  if (text !== null) changeTab((tab) => ({ ...tab, fileWas: tab.fileWas ?? fingerprint(text) }), id);
}

const KEY = "sumi.app:";

/** The changes to an app survive a reload of this browser tab, as long as the file is the same. */
function recalled(name: string, print: string): Doc | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY + name) ?? "null") as { print: string; doc: string } | null;
    return kept?.print === print ? (parseJson(kept.doc) as Doc) : null;
  } catch {
    return null; // no storage, or another program's text
  }
}

const DELAY = 300;

function keepChanges(name: string, print: string): void {
  let timer = 0;
  const keep = () => {
    clearTimeout(timer);
    timer = 0;
    const doc = useEditor.getState().tabs[0]?.history.present;
    try {
      if (doc) sessionStorage.setItem(KEY + name, JSON.stringify({ print, doc: writeJson(doc) }));
    } catch {
      // Storage is full or disabled: a reload begins with the file.
    }
  };
  useEditor.subscribe((now, before) => {
    if (now.tabs === before.tabs) return;
    clearTimeout(timer);
    timer = window.setTimeout(keep, DELAY);
  });
  window.addEventListener("pagehide", () => timer && keep());
}
