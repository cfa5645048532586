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

function copied(): Partial<Settings> {
  try {
    return sound(JSON.parse(localStorage.getItem(COPY) ?? "{}") as Record<string, unknown>);
  } catch {
    return {}; // somebody else's text under this name, or no storage here
  }
}

export const useSettings = create<Settings>(() => ({ ...DEFAULTS, ...copied() }));

function copy(): void {
  try {
    localStorage.setItem(COPY, JSON.stringify(useSettings.getState()));
  } catch {
    // Only the first paint of the next visit is without it.
  }
}

/** What was changed here before the server's answer came is not undone by it. */
const changed = new Set<keyof Settings>();

export function setting<Name extends keyof Settings>(name: Name, value: Settings[Name]): void {
  changed.add(name);
  useSettings.setState({ [name]: value } as Partial<Settings>);
  copy();
  // The copy holds it here; the next change or visit with a server tells the server.
  server.set(PREFIX + name, value).catch(() => undefined);
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
    for (const name of changed) delete found[name];
    useSettings.setState(found);
    copy();
  } catch {
    // No server yet: what the browser remembers stays.
  }
}

function speak(): Promise<void> {
  const { language } = useSettings.getState();
  return setLanguage(language === "auto" ? preferredLanguage() : language);
}
