/** Workflows saved on the server: under `workflows/`, in any folders. */

import { emptyDocument } from "../document/document";
import { writeJson } from "../document/json";
import { t } from "../i18n";
import { Refused, server } from "../server/client";
import { ask, confirmed, useQuestions } from "./dialogs";
import { changeTab, closeTab, current, isChanged, showTab, type Tab, useEditor } from "./editor";
import { openText } from "./files";
import { fingerprint } from "./fingerprint";
import { notify } from "./notices";

const ROOT = "workflows/";

export interface Saved {
  /** Relative to the library's root. */
  path: string;
  /** Milliseconds since the epoch. */
  modified: number;
}

export const shownName = (path: string): string => path.replace(/\.json$/i, "");
const lastPart = (path: string): string => shownName(path).replace(/^.*\//, "");

/** What is wrong with a typed name; null: nothing. Slashes separate folders. */
export function nameProblem(name: string): string | null {
  const parts = shownName(name.trim()).split("/");
  if (parts.every((part) => !part.trim())) return t("file.nameMissing");
  if (parts.some((part) => !part.trim() || part.trim().startsWith(".") || /[\\:*?"<>|\u0000-\u001f]/.test(part)))
    return t("file.nameUnsound");
  return null;
}

const toPath = (name: string): string =>
  `${shownName(name.trim())
    .split("/")
    .map((part) => part.trim())
    .join("/")}.json`;

export const foldersOf = (saved: readonly Saved[]): string[] =>
  [
    ...new Set(
      saved.flatMap(({ path }) =>
        path
          .split("/")
          .slice(0, -1)
          .map((_, index, parts) => parts.slice(0, index + 1).join("/")),
      ),
    ),
  ].sort();

const unreachable = (error: unknown): void =>
  error instanceof Refused
    ? notify("error", "run.refused", `${error.message} ${error.details}`.trim())
    : notify("error", "run.unreachable");

async function askName(title: string, value: string): Promise<string | null> {
  const folders = server.workflows().then(foldersOf, () => []);
  const given = await ask({
    title,
    field: {
      label: t("file.name"),
      value,
      suggestions: folders.then((names) => names.map((name) => `${name}/`)),
      check: nameProblem,
    },
    choices: [{ id: "save", label: t("app.save"), kind: "primary" }],
  });
  return given && toPath(given.value);
}

const replaces = (path: string): Promise<boolean> =>
  confirmed(t("file.exists"), t("file.replace", { name: shownName(path) }), {
    id: "replace",
    label: t("file.replaceIt"),
    kind: "danger",
  });

const exists = (error: unknown): boolean => error instanceof Refused && error.status === 409;

/** By tab, the save in progress: the next one waits for it. */
const saving = new Map<string, Promise<boolean>>();

/**
 * Save a workflow in the library. Asks for a name the first time, and for confirmation before it replaces another file
 * or its own file if another window has changed it. False: it is not saved.
 */
export function save(tab: Tab = current(), elsewhere = false): Promise<boolean> {
  if (useQuestions.getState().asked.length) return Promise.resolve(false);
  const under = saving.get(tab.id);
  const turn = under ? under.then(() => saveNow(tab.id, elsewhere)) : saveNow(tab.id, elsewhere);
  saving.set(tab.id, turn);
  return turn.finally(() => saving.get(tab.id) === turn && saving.delete(tab.id));
}

async function saveNow(id: string, elsewhere: boolean, called?: string): Promise<boolean> {
  const find = () => useEditor.getState().tabs.find((entry) => entry.id === id);
  const tab = find();
  if (!tab) return false;
  const path =
    tab.file && !elsewhere ? tab.file : await askName(t("file.saveAs"), called ?? shownName(tab.file ?? tab.name));
  if (path === null) return false;
  const doc = (find() ?? tab).history.present;
  const text = writeJson(doc, 1);
  try {
    if (path === tab.file && (await changedElsewhere(tab, text))) {
      const given = await ask({
        title: t("file.changed", { name: shownName(path) }),
        text: t("file.changedText"),
        choices: [
          { id: "copy", label: t("file.saveCopy"), kind: "primary" },
          { id: "overwrite", label: t("file.overwrite"), kind: "danger" },
        ],
      });
      if (given === null) return false;
      if (given.choice === "copy") return await saveNow(id, true, `${shownName(path)} 2`);
    }
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
  changeTab((before) => ({ ...before, file: path, fileWas: fingerprint(text), name: lastPart(path), clean: doc }), id);
  notify("info", "file.saved", shownName(path));
  return true;
}

/** Whether a tab's file was changed by another window since it was opened or saved here. */
async function changedElsewhere({ file, fileWas }: Tab, text: string): Promise<boolean> {
  if (file === null || fileWas === null) return false;
  try {
    const there = await server.readFile(ROOT + file);
    return fingerprint(there) !== fileWas && there !== text;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return false; // deleted, so there is nothing to lose
    throw error;
  }
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

/** Move one file, or all files of a folder. Open tabs follow. */
export async function rename(path: string, folder = false): Promise<void> {
  const given = await askName(t("file.rename"), folder ? path : shownName(path));
  if (given === null) return;
  const target = folder ? shownName(given) : given;
  if (target === path) return;
  try {
    const files = folder
      ? (await server.workflows()).map((entry) => entry.path).filter((entry) => entry.startsWith(`${path}/`))
      : [path];
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

/** Asks first. Open tabs of deleted files stay open, unsaved. */
export async function remove(path: string, folder = false): Promise<void> {
  try {
    const files = folder
      ? (await server.workflows()).map((entry) => entry.path).filter((entry) => entry.startsWith(`${path}/`))
      : [path];
    const what = folder
      ? t("file.deleteFolder", { name: path, count: files.length })
      : t("file.delete", { name: shownName(path) });
    if (!(await confirmed(what, t("file.deleteText"), { id: "delete", label: t("menu.delete"), kind: "danger" })))
      return;
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

/** Close a tab; if it has changes, ask whether to save them. */
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
