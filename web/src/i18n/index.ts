/** The texts of the editor. English is built in; other languages load when chosen. */

import { useCallback } from "react";
import { create } from "zustand";
import { en } from "./en";
import type { NodeNames } from "./node_names";

export type Key = keyof typeof en;
export type Language = "en" | "zh-CN";

interface Words {
  language: Language;
  words: Record<Key, string>;
  /** Names of nodes that replace the server's; null: none. */
  nodeNames: NodeNames | null;
  /** Texts about nodes by the server's English text; null: English is chosen, or they are still loading. */
  help: Readonly<Record<string, string>> | null;
}

export const useWords = create<Words>(() => ({ language: "en", words: en, nodeNames: null, help: null }));

export async function setLanguage(language: Language): Promise<void> {
  const [words, nodeNames] =
    language === "zh-CN" ? await Promise.all([import("./zh").then(({ zh }) => zh), import("./nodes.zh")]) : [en, null];
  document.documentElement.lang = language;
  useWords.setState({ language, words, nodeNames, help: null });
  if (language === "en") return;
  // The first picture of the page does not need these texts.
  void import("./help_zh").then(({ help }) => useWords.getState().language === language && useWords.setState({ help }));
}

/** A text about a node in the chosen language. Texts of node packs stay as their pack has them. */
export const translated = (text: string, help: Words["help"]): string => (help?.[text] ?? text).replaceAll("``", "");

/** The first of the browser's languages that the editor has. */
export function preferredLanguage(): Language {
  const preferred = navigator.languages.find((name) => /^(zh|en)/.test(name)) ?? "en";
  return preferred.startsWith("zh") ? "zh-CN" : "en";
}

type Values = Record<string, string | number>;

const filled = (text: string, values?: Values): string =>
  values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;

export function useT(): (key: Key, values?: Values) => string {
  const words = useWords((state) => state.words);
  return useCallback((key, values) => filled(words[key], values), [words]);
}

/** For code outside components. */
export const t = (key: Key, values?: Values): string => filled(useWords.getState().words[key], values);
