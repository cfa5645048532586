/** The user's settings, stored on the server; a copy in the browser is used for the first paint. */

import { create } from "zustand";
import { preferredLanguage, setLanguage } from "../i18n";
import { server } from "../server/client";

export interface Settings {
  theme: "auto" | "light" | "dark";
  language: "auto" | "en" | "zh-CN";
  /** Nodes and groups snap to the grid while they are dragged. */
  snap: boolean;
  minimap: boolean;
  /** Whether seeds change before the next run, so that nodes show the seeds of their pictures, or after each run. */
  seeds: "before" | "after";
  /** The examples are shown over the canvas until they are closed. */
  welcome: boolean;
  /** The lesson that was open last, from 1; 0: none yet. */
  lesson: number;
}

const DEFAULTS: Settings = {
  theme: "auto",
  language: "auto",
  snap: false,
  minimap: true,
  seeds: "before",
  welcome: true,
  lesson: 0,
};

const ALLOWED: { [Name in keyof Settings]: readonly Settings[Name][] } = {
  theme: ["auto", "light", "dark"],
  language: ["auto", "en", "zh-CN"],
  snap: [true, false],
  minimap: [true, false],
  seeds: ["before", "after"],
  welcome: [true, false],
  lesson: [0, 1, 2, 3, 4, 5, 6],
};

/** In the server's form: `Sumi.theme` and so on. */
const PREFIX = "Sumi.";
const COPY = "sumi.settings";

const names = Object.keys(DEFAULTS) as (keyof Settings)[];

function sound(found: Record<string, unknown>, prefix = ""): Partial<Settings> {
  const known = names.filter((name) => (ALLOWED[name] as readonly unknown[]).includes(found[prefix + name]));
  return Object.fromEntries(known.map((name) => [name, found[prefix + name]]));
}

function copied(): Record<string, unknown> {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(COPY) ?? "{}");
    if (typeof found === "object" && found !== null) return found as Record<string, unknown>;
  } catch {
    // No storage is available.
  }
  return {}; // nothing, or another program's text with this key
}

const before = copied();

export const useSettings = create<Settings>(() => ({ ...DEFAULTS, ...sound(before) }));

/** Settings changed while the server was unreachable. */
const unsent = new Set(names.filter((name) => Array.isArray(before.unsent) && before.unsent.includes(name)));

function copy(): void {
  try {
    localStorage.setItem(COPY, JSON.stringify({ ...useSettings.getState(), unsent: [...unsent] }));
  } catch {
    // Only the first paint of the next visit lacks these settings.
  }
}

/** The server's answer does not overwrite settings that were changed here before it arrived. */
const changed = new Set<keyof Settings>();

export function setting<Name extends keyof Settings>(name: Name, value: Settings[Name]): void {
  changed.add(name);
  useSettings.setState({ [name]: value } as Partial<Settings>);
  void send(name);
}

/** Until the server has stored it, the copy is marked: the next visit sends it again. */
async function send(name: keyof Settings): Promise<void> {
  unsent.add(name);
  copy();
  try {
    await server.set(PREFIX + name, useSettings.getState()[name]);
  } catch {
    return;
  }
  unsent.delete(name);
  copy();
}

/** Load the words of the chosen language, now and whenever the language changes. */
export function languageLoaded(): Promise<void> {
  useSettings.subscribe((now, before) => {
    if (now.language !== before.language) void speak();
  });
  return speak();
}

export async function recallSettings(): Promise<void> {
  try {
    const found = sound(await server.settings(), PREFIX);
    for (const name of [...changed, ...unsent]) delete found[name];
    useSettings.setState(found);
    copy();
    for (const name of unsent) void send(name);
  } catch {
    // No server yet: use the browser's copy.
  }
}

function speak(): Promise<void> {
  const { language } = useSettings.getState();
  return setLanguage(language === "auto" ? preferredLanguage() : language);
}
