import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { en } from "./en";
import { zh } from "./zh";

const SOURCES = join(import.meta.dirname, "..");
const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).sort();

describe("the texts of the editor", () => {
  it("exist in both languages, with the same placeholders", () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) expect(holes(zh[key as keyof typeof en]), key).toEqual(holes(text));
  });

  it("are translated, not copied", () => {
    const same = Object.entries(en).filter(
      ([key, text]) => /[a-z]{3}/i.test(text.replace(/\{\w+\}/g, "")) && zh[key as keyof typeof en] === text,
    );
    expect(same).toEqual([]);
  });

  it("are not written in components", () => {
    const found: string[] = [];
    for (const entry of readdirSync(SOURCES, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".tsx")) continue;
      const source = readFileSync(join(entry.parentPath, entry.name), "utf-8").replace(
        /\/\*[\s\S]*?\*\/|\/\/.*$/gm,
        "",
      );
      const attributes = source.matchAll(/\b(?:title|aria-label|placeholder|alt|label)="([^"]*[A-Za-z]{2}[^"]*)"/g);
      const children = source.matchAll(/<[a-z][\w-]*(?: [^<>]*)?>\s*([A-Z][a-z]+(?: [a-z]+)*)\s*<\//g);
      for (const [, text] of [...attributes, ...children]) if (text !== "Sumi") found.push(`${entry.name}: ${text}`);
    }
    expect(found).toEqual([]);
  });
});
