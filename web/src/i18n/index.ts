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

export async function setLanguage(language: Language): Promise<void> {
  const [words, nodeNames] =
    language === "zh-CN" ? await Promise.all([import("./zh").then(({ zh }) => zh), import("./nodes.zh")]) : [en, null];
  document.documentElement.lang = language;
  useWords.setState({ language, words, nodeNames });
}

/** The first of the browser's languages that is here. */
export function preferredLanguage(): Language {
  const preferred = navigator.languages.find((name) => /^(zh|en)/.test(name)) ?? "en";
  return preferred.startsWith("zh") ? "zh-CN" : "en";
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
