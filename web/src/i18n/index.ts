/** The words of the editor. English is there at once; others load when used. */

import { create } from "zustand";
import { en } from "./en";

export type Key = keyof typeof en;
export type Language = "en" | "zh-CN";

interface Words {
  language: Language;
  words: Record<Key, string>;
}

export const useWords = create<Words>(() => ({ language: "en", words: en }));

const CHOSEN = "sumi.language";

export async function setLanguage(language: Language, remember = true): Promise<void> {
  const words = language === "zh-CN" ? (await import("./zh")).zh : en;
  if (remember) localStorage.setItem(CHOSEN, language);
  document.documentElement.lang = language;
  useWords.setState({ language, words });
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
