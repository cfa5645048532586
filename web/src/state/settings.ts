/** What a person has chosen, kept on the server; the browser's copy is for the first paint. */

import { create } from "zustand";
import { preferredLanguage, setLanguage } from "../i18n";
import { server } from "../server/client";

export interface Settings {
  theme: "auto" | "light" | "dark";
  language: "auto" | "en" | "zh-CN";
  /** Nodes and groups keep to the grid while they are dragged. */
  snap: boolean;
  minimap: boolean;
  /** The examples are offered over the canvas until they are put away. */
  welcome: boolean;
}

const DEFAULTS: Settings = { theme: "auto", language: "auto", snap: false, minimap: true, welcome: true };

const ALLOWED: { [Name in keyof Settings]: readonly Settings[Name][] } = {
  theme: ["auto", "light", "dark"],
  language: ["auto", "en", "zh-CN"],
  snap: [true, false],
  minimap: [true, false],
  welcome: [true, false],
};

/** As the server has them: `Sumi.theme` and so on. */
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
    // No storage here.
  }
  return {}; // nothing, or somebody else's text under this name
}

const before = copied();

export const useSettings = create<Settings>(() => ({ ...DEFAULTS, ...sound(before) }));

/** What was chosen while no server could be told. */
const unsent = new Set(names.filter((name) => Array.isArray(before.unsent) && before.unsent.includes(name)));

function copy(): void {
  try {
    localStorage.setItem(COPY, JSON.stringify({ ...useSettings.getState(), unsent: [...unsent] }));
  } catch {
    // Only the first paint of the next visit is without it.
  }
}

/** What was changed here before the server's answer came is not undone by it. */
const changed = new Set<keyof Settings>();

export function setting<Name extends keyof Settings>(name: Name, value: Settings[Name]): void {
  changed.add(name);
  useSettings.setState({ [name]: value } as Partial<Settings>);
  void send(name);
}

/** Until the server has it, the copy says that it has not: the next visit with a server tells it. */
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

/** The words of the chosen language, now and whenever another is chosen. */
export function spoken(): Promise<void> {
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
    // No server yet: what the browser remembers stays.
  }
}

function speak(): Promise<void> {
  const { language } = useSettings.getState();
  return setLanguage(language === "auto" ? preferredLanguage() : language);
}
