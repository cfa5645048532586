/** The words of the editor. English is there at once; others load when used. */

import { create } from "zustand";
import { en } from "./en";
import type { NodeNames } from "./node_names";

export type Key = keyof typeof en;
export type Language = "en" | "zh-CN";

interface Words {
  language: Language;
  words: Record<Key, string>;
  /** What nodes are called, if not as the server says. */
  nodeNames: NodeNames | null;
}

export const useWords = create<Words>(() => ({ language: "en", words: en, nodeNames: null }));

const CHOSEN = "sumi.language";

export async function setLanguage(language: Language, remember = true): Promise<void> {
  const [words, nodeNames] =
    language === "zh-CN" ? await Promise.all([import("./zh").then(({ zh }) => zh), import("./nodes.zh")]) : [en, null];
  if (remember) localStorage.setItem(CHOSEN, language);
  document.documentElement.lang = language;
  useWords.setState({ language, words, nodeNames });
}

/** As chosen before, else as the browser prefers. */
export async function recallLanguage(): Promise<void> {
  const preferred = navigator.languages.find((name) => /^(zh|en)/.test(name)) ?? "en";
  const language = localStorage.getItem(CHOSEN) ?? (preferred.startsWith("zh") ? "zh-CN" : "en");
  await setLanguage(language === "zh-CN" ? "zh-CN" : "en", false);
}

type Values = Record<string, string | number>;

const filled = (text: string, values?: Values): string =>
  values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;

export function useT(): (key: Key, values?: Values) => string {
  const words = useWords((state) => state.words);
  return (key, values) => filled(words[key], values);
}

/** Outside components. */
export const t = (key: Key, values?: Values): string => filled(useWords.getState().words[key], values);
