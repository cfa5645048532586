/** The lesson: a series of workflows with a text beside each. A workflow says in `extra.lesson` which one it is. */

import type { Doc, GraphNode, Group } from "../document/document";
import type { Language } from "../i18n";
import { amendDocument, changeTab, current, isChanged, openTab, showTab, useEditor } from "./editor";
import { setting, useSettings } from "./settings";
import { show } from "./ui";

export const LESSONS = 6;

/** The texts of a lesson's nodes and groups in another language, by their ids. */
interface Translation {
  nodes?: Record<string, { title?: string; note?: string }>;
  groups?: Record<string, string>;
}

interface Extra {
  number?: unknown;
  translations?: Record<string, Translation>;
}

const extraOf = (doc: Doc): Extra => {
  const found = doc.extra?.lesson;
  return typeof found === "object" && found !== null ? (found as Extra) : {};
};

/** Which lesson a workflow is, from 1; null: it is not part of the lesson. */
export function lessonOf(doc: Doc): number | null {
  const { number } = extraOf(doc);
  return Number.isInteger(number) && (number as number) >= 1 && (number as number) <= LESSONS
    ? (number as number)
    : null;
}

/** A lesson with the titles of its nodes and groups, and with its notes, in a language. English is in the file. */
export function inLanguage(doc: Doc, language: Language): Doc {
  const { nodes = {}, groups = {} } = extraOf(doc).translations?.[language] ?? {};
  const node = (before: GraphNode): GraphNode => {
    const { title = before.title, note } = nodes[String(before.id)] ?? {};
    return { ...before, title, ...(note === undefined ? {} : { widgets_values: [note] }) };
  };
  const group = (before: Group): Group => ({ ...before, title: groups[String(before.id)] ?? before.title });
  return { ...doc, nodes: doc.nodes.map(node), groups: doc.groups?.map(group) };
}

/** The lesson that the user saw last; the first one for a new user. */
export const lessonPlace = (): number => useSettings.getState().lesson || 1;

/** Show a lesson: in its tab if it is open, else in a new tab. */
export function showLesson(number: number, name: string, doc: Doc): void {
  const open = useEditor.getState().tabs.find((tab) => lessonOf(tab.history.present) === number);
  if (open) showTab(open.id);
  else {
    openTab(name, doc);
    changeTab((tab) => ({ ...tab, app: false })); // the text is about the nodes, also on a phone
  }
  setting("lesson", number);
  show({ lesson: true, panel: null });
}

/** Replace the open lesson's texts after the language has changed, unless the user has changed the workflow. */
export function retellLesson(doc: Doc): void {
  const tab = current();
  if (!isChanged(tab)) amendDocument(tab.id, () => doc);
}
