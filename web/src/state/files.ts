/** Workflows in and out: files, pictures, the server's library, and what the browser keeps. */

import { type ApiWorkflow, toApi } from "../format/api";
import { fromApi } from "../format/from_api";
import { parseJson, writeJson } from "../format/json";
import { pictureTexts } from "../format/picture";
import { type Doc, emptyDocument, isDocument } from "../graph/document";
import { mapNode } from "../graph/edits";
import { setWidget } from "../graph/widget_views";
import { t } from "../i18n";
import { Refused, server } from "../server/client";
import { activeTab, changeTab, current, edit, isChanged, newTab, openTab, showCatalogue, surroundings, type Tab, useEditor } from "./editor";
import { notify } from "./notices";

/** Open what a file holds: JSON of either dialect, or a picture that carries a workflow. */
export async function openFile(file: File): Promise<void> {
  const name = file.name.replace(/\.[^.]+$/, "");
  try {
    if (/\.json$/i.test(file.name) || file.type === "application/json") return openText(name, await file.text());
    const texts = await pictureTexts(await file.arrayBuffer());
    const text = texts.workflow ?? texts.prompt;
    if (text) openText(name, text);
    else notify("error", "file.nothing", file.name);
  } catch {
    notify("error", "file.unreadable", file.name);
  }
}

/** Throws SyntaxError for what is no JSON. */
export function openText(name: string, text: string, file: string | null = null): void {
  const doc = readDocument(parseJson(text));
  if (doc) openTab(name, doc, file);
  else notify("error", "file.unreadable", name);
}

export function readDocument(value: unknown): Doc | null {
  if (isDocument(value)) return { ...value, links: value.links ?? [] };
  if (typeof value !== "object" || value === null) return null;
  const { workflow, prompt } = value as { workflow?: unknown; prompt?: unknown };
  if (isDocument(workflow)) return readDocument(workflow);
  const api = (prompt ?? value) as ApiWorkflow;
  const sound = Object.values(api).length > 0 && Object.values(api).every((node) => typeof node?.class_type === "string");
  return sound ? fromApi(api, useEditor.getState().catalogue) : null;
}

/** Save the open workflow in the server's library; asks for a name the first time. */
export async function save(): Promise<void> {
  const tab = current();
  const name = tab.file ?? askName(tab.name);
  if (name === null) return;
  const doc = tab.history.present;
  try {
    await server.writeFile(`workflows/${name}`, writeJson(doc, 1), tab.file !== null);
    changeTab((before) => ({ ...before, file: name, name: name.replace(/\.json$/, ""), clean: doc }), tab.id);
    notify("info", "file.saved", name);
  } catch (error) {
    if (error instanceof Refused && error.status === 409) notify("error", "file.exists", name);
    else notify("error", "run.unreachable");
  }
}

function askName(suggested: string): string | null {
  const name = window.prompt(t("file.name"), suggested)?.trim().replace(/[\\/]+/g, "-");
  return name ? `${name.replace(/\.json$/i, "")}.json` : null;
}

export async function openSaved(path: string): Promise<void> {
  const open = useEditor.getState().tabs.find((tab) => tab.file === path);
  if (open) return useEditor.setState({ active: open.id });
  try {
    openText(path.replace(/\.json$/, ""), await server.readFile(`workflows/${path}`), path);
  } catch {
    notify("error", "file.unreadable", path);
  }
}

export function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export const downloadWorkflow = (): void => download(`${current().name}.json`, writeJson(current().history.present, 1));

export function exportApi(): void {
  const { doc, catalogue } = surroundings();
  download(`${current().name}.api.json`, writeJson(toApi(doc, catalogue), 1));
}

/** Put a picture into the server's input folder and let a node load it. */
export async function uploadTo(node: string, key: string, file: Blob & { name?: string }): Promise<void> {
  try {
    const { name, subfolder } = await server.upload(file, file.name ?? "pasted.png");
    const value = subfolder ? `${subfolder}/${name}` : name;
    await refreshCatalogue();
    edit((level) => mapNode(level, node, (before) => setWidget(before, key, value, surroundings())));
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined);
  }
}

export async function refreshCatalogue(): Promise<void> {
  showCatalogue(await server.catalogue());
}

export function closeAsking(tab: Tab, close: (id: string) => void): void {
  if (isChanged(tab) && !window.confirm(t("app.discard", { name: tab.name }))) return;
  close(tab.id);
}

// -- what the browser keeps ---------------------------------------------------------------------------------------

const SESSION = "sumi.session";
const LAST = "sumi.last";

interface Kept {
  active: string;
  tabs: { id: string; name: string; file: string | null; doc: Doc; changed: boolean; views: Tab["views"] }[];
}

const session = (() => {
  const known = sessionStorage.getItem(SESSION) ?? crypto.randomUUID();
  sessionStorage.setItem(SESSION, known);
  return known;
})();

let keepTimer = 0;
let kept: unknown = null;

function keep(): void {
  window.clearTimeout(keepTimer);
  keepTimer = 0;
  const { tabs, active } = useEditor.getState();
  if (kept === tabs) return;
  const text: Kept = {
    active,
    tabs: tabs.map((tab) => ({ id: tab.id, name: tab.name, file: tab.file, doc: tab.history.present, changed: isChanged(tab), views: tab.views })),
  };
  try {
    localStorage.setItem(`${SESSION}.${session}`, writeJson(text));
    localStorage.setItem(LAST, session);
    kept = tabs;
  } catch {
    if (!forgetOldest()) notify("error", "file.storageFull");
  }
}

/** Room is made by what windows long closed have left. */
function forgetOldest(): boolean {
  const old = Object.keys(localStorage).filter((key) => key.startsWith(`${SESSION}.`) && !key.endsWith(session));
  for (const key of old) localStorage.removeItem(key);
  return old.length > 0;
}

/** What was open before a reload, a crash, or in the window closed last; true if there was anything. */
export function recallSession(): boolean {
  const id = localStorage.getItem(`${SESSION}.${session}`) ? session : localStorage.getItem(LAST);
  const text = id && localStorage.getItem(`${SESSION}.${id}`);
  if (!text) return false;
  try {
    const { tabs, active } = parseJson(text) as unknown as Kept;
    const restored = tabs.map(({ id: tabId, name, file, doc, changed, views }) => {
      const tab = newTab(name, doc, file);
      return { ...tab, id: tabId, views: views ?? {}, clean: changed ? emptyDocument() : doc };
    });
    if (!restored.length) return false;
    useEditor.setState({ tabs: restored, active });
    activeTab(useEditor.getState());
    return true;
  } catch {
    return false; // kept by another version
  }
}

export function keepSession(): void {
  useEditor.subscribe((state) => {
    if (state.tabs !== kept && !keepTimer) keepTimer = window.setTimeout(keep, 400);
  });
  window.addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && keep());
}
