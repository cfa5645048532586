/** Workflows saved on the server: under `workflows/`, in folders as one likes. */

import { writeJson } from "../format/json";
import { t } from "../i18n";
import { Refused, server } from "../server/client";
import { changeTab, closeTab, current, isChanged, showTab, type Tab, useEditor } from "./editor";
import { ask, confirmed, useQuestions } from "./dialogs";
import { openText } from "./files";
import { notify } from "./notices";
import { emptyDocument } from "../graph/document";

const ROOT = "workflows/";

export interface Saved {
  /** Below the library's root. */
  path: string;
  /** Milliseconds since the epoch. */
  modified: number;
}

export const shownName = (path: string): string => path.replace(/\.json$/i, "");
const lastPart = (path: string): string => shownName(path).replace(/^.*\//, "");

/** What is wrong with a name that somebody typed; null: nothing. Folders are told apart by slashes. */
export function nameProblem(name: string): string | null {
  const parts = shownName(name.trim()).split("/");
  if (parts.every((part) => !part.trim())) return t("file.nameMissing");
  if (parts.some((part) => !part.trim() || part.trim().startsWith(".") || /[\\:*?"<>|\u0000-\u001f]/.test(part))) return t("file.nameUnsound");
  return null;
}

const toPath = (name: string): string =>
  `${shownName(name.trim())
    .split("/")
    .map((part) => part.trim())
    .join("/")}.json`;

export const foldersOf = (saved: readonly Saved[]): string[] =>
  [...new Set(saved.flatMap(({ path }) => path.split("/").slice(0, -1).map((_, index, parts) => parts.slice(0, index + 1).join("/"))))].sort();

const unreachable = (error: unknown): void =>
  error instanceof Refused ? notify("error", "run.refused", `${error.message} ${error.details}`.trim()) : notify("error", "run.unreachable");

async function askName(title: string, value: string): Promise<string | null> {
  const folders = server.workflows().then(foldersOf, () => []);
  const given = await ask({
    title,
    field: { label: t("file.name"), value, suggestions: folders.then((names) => names.map((name) => `${name}/`)), check: nameProblem },
    choices: [{ id: "save", label: t("app.save"), kind: "primary" }],
  });
  return given && toPath(given.value);
}

const replaces = (path: string): Promise<boolean> =>
  confirmed(t("file.exists"), t("file.replace", { name: shownName(path) }), { id: "replace", label: t("file.replaceIt"), kind: "danger" });

const exists = (error: unknown): boolean => error instanceof Refused && error.status === 409;

/** Save a workflow in the library; asks for a name the first time, and before another file is replaced. False: it is not saved. */
export async function save(tab: Tab = current(), elsewhere = false): Promise<boolean> {
  if (useQuestions.getState().asked.length) return false;
  const path = tab.file && !elsewhere ? tab.file : await askName(t("file.saveAs"), shownName(tab.file ?? tab.name));
  if (path === null) return false;
  const now = useEditor.getState().tabs.find((entry) => entry.id === tab.id) ?? tab;
  const doc = now.history.present;
  const text = writeJson(doc, 1);
  try {
    try {
      await server.writeFile(ROOT + path, text, path === tab.file);
    } catch (error) {
      if (!exists(error)) throw error;
      if (!(await replaces(path))) return false;
      await server.writeFile(ROOT + path, text, true);
    }
  } catch (error) {
    unreachable(error);
    return false;
  }
  changeTab((before) => ({ ...before, file: path, name: lastPart(path), clean: doc }), tab.id);
  notify("info", "file.saved", shownName(path));
  return true;
}

export async function openSaved(path: string): Promise<void> {
  const open = useEditor.getState().tabs.find((tab) => tab.file === path);
  if (open) return showTab(open.id);
  try {
    openText(lastPart(path), await server.readFile(ROOT + path), path);
  } catch (error) {
    unreachable(error);
  }
}

/** Move one file, or all of a folder. Open tabs go along. */
export async function rename(path: string, folder = false): Promise<void> {
  const given = await askName(t("file.rename"), folder ? path : shownName(path));
  if (given === null) return;
  const target = folder ? shownName(given) : given;
  if (target === path) return;
  try {
    const files = folder ? (await server.workflows()).map((entry) => entry.path).filter((entry) => entry.startsWith(`${path}/`)) : [path];
    for (const from of files) await move(from, folder ? target + from.slice(path.length) : target);
  } catch (error) {
    unreachable(error);
  }
}

async function move(from: string, to: string): Promise<void> {
  try {
    await server.moveFile(ROOT + from, ROOT + to, false);
  } catch (error) {
    if (!exists(error)) throw error;
    if (!(await replaces(to))) return;
    await server.moveFile(ROOT + from, ROOT + to, true);
  }
  for (const tab of useEditor.getState().tabs) {
    if (tab.file === to) changeTab((before) => ({ ...before, file: null, clean: emptyDocument() }), tab.id);
    else if (tab.file === from) changeTab((before) => ({ ...before, file: to, name: lastPart(to) }), tab.id);
  }
}

/** Asks first. What of it is open stays open, unsaved. */
export async function remove(path: string, folder = false): Promise<void> {
  try {
    const files = folder ? (await server.workflows()).map((entry) => entry.path).filter((entry) => entry.startsWith(`${path}/`)) : [path];
    const what = folder ? t("file.deleteFolder", { name: path, count: files.length }) : t("file.delete", { name: shownName(path) });
    if (!(await confirmed(what, t("file.deleteText"), { id: "delete", label: t("menu.delete"), kind: "danger" }))) return;
    for (const file of files) {
      await server.deleteFile(ROOT + file);
      for (const tab of useEditor.getState().tabs) {
        if (tab.file === file) changeTab((before) => ({ ...before, file: null, clean: emptyDocument() }), tab.id);
      }
    }
  } catch (error) {
    unreachable(error);
  }
}

/** Close a tab; one with changes asks what is to become of them. */
export async function closeAsking(tab: Tab): Promise<void> {
  if (isChanged(tab)) {
    showTab(tab.id);
    const given = await ask({
      title: t("app.closeTitle", { name: tab.name }),
      text: t("app.closeText"),
      choices: [
        { id: "discard", label: t("app.dontSave"), kind: "danger" },
        { id: "save", label: t("app.save"), kind: "primary" },
      ],
    });
    if (given === null) return;
    if (given.choice === "save" && !(await save(tab))) return;
  }
  closeTab(tab.id);
}
