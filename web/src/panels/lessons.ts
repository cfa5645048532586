/** The lesson's six workflows in `workflows/` and their texts, which are the chapters of `docs/lesson.md`. */

import type { Doc } from "../document/document";
import { type Language, useWords } from "../i18n";
import { inLanguage, lessonPlace, showLesson } from "../state/lesson";
import { type Chapter, chaptersOf } from "./chapters";

const DOCUMENTS = import.meta.glob<{ default: Doc }>("../../../workflows/lesson_*.json");

const PAGES: Record<Language, () => Promise<{ default: string }>> = {
  en: () => import("../../../docs/lesson.md?raw"),
  "zh-CN": () => import("../../../docs/lesson.zh.md?raw"),
};

export const chapters = async (language: Language): Promise<Chapter[]> => chaptersOf((await PAGES[language]()).default);

export async function lessonDocument(number: number, language: Language): Promise<Doc> {
  const load = DOCUMENTS[`../../../workflows/lesson_${number}.json`];
  if (!load) throw new Error(`there is no lesson ${number}`);
  return inLanguage((await load()).default, language);
}

export async function openLesson(number = lessonPlace()): Promise<void> {
  const { language } = useWords.getState();
  const [document, texts] = await Promise.all([lessonDocument(number, language), chapters(language)]);
  showLesson(number, texts[number - 1]?.title ?? "", document);
}
