import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type RawNodeDef, readCatalogue } from "../document/schema";
import { usualNext } from "../document/wired";
import { search, typos } from "./node_search";

const INFO = join(import.meta.dirname, "../../../tests/object_info.json");
const catalogue = readCatalogue(JSON.parse(readFileSync(INFO, "utf-8")) as Record<string, RawNodeDef>);
const defs = [...catalogue.values()];
const names = (text: string, more = {}) => search(defs, { text, ...more }).map(({ name }) => name);

describe("the search for nodes", () => {
  it("finds the exact name first", () => {
    expect(names("ksampler")[0]).toBe("KSampler");
    expect(names("vae decode")[0]).toBe("VAEDecode");
  });

  it.each([
    ["ksmapler", "KSampler"],
    ["vae decdoe", "VAEDecode"],
    ["chekpoint", "CheckpointLoaderSimple"],
    ["lora laoder", "LoraLoader"],
    ["contrlnet", "ControlNetLoader"],
    ["upsacle", "LatentUpscale"],
    ["emtpy latent", "EmptyLatentImage"],
  ])("forgives %s", (typed, wanted) => {
    expect(names(typed).slice(0, 6)).toContain(wanted);
  });

  it("keeps typos behind exact matches", () => {
    const found = names("save");
    expect(found[0]).toMatch(/^Save/);
    const firstWithout = found.findIndex((name) => !/save/i.test(`${name} ${catalogue.get(name)?.title}`));
    const lastWith = found.findLastIndex((name) => /save/i.test(name));
    expect(firstWithout === -1 || firstWithout > lastWith).toBe(true);
  });

  it("finds words of descriptions and fields, in both languages", () => {
    const own = readCatalogue({
      Blur: {
        input: { required: { r: ["INT", { tooltip: "Radius of the halo in pixels." }] } },
        output: [],
        description: "Soften everything.",
      },
    });
    const help = { "Soften everything.": "使一切变柔和。" };
    expect(search([...own.values()], { text: "halo" })).toHaveLength(1);
    expect(search([...own.values()], { text: "soften" })).toHaveLength(1);
    expect(search([...own.values()], { text: "柔和", help })).toHaveLength(1);
    expect(search([...own.values()], { text: "柔和" })).toHaveLength(0);
  });

  it("finds nothing for letters that match nothing", () => {
    expect(names("qzxwvq")).toEqual([]);
    expect(names("zz")).toEqual([]);
  });

  it("lists what is usual first where a link is released", () => {
    const from = { class: "KSampler", side: "output", slot: 0, type: "LATENT" } as const;
    expect(names("", { from, first: usualNext(from) })[0]).toBe("VAEDecode");
    const prompt = { class: "KSampler", side: "input", slot: "positive", type: "CONDITIONING" } as const;
    expect(names("", { from: prompt, first: usualNext(prompt) })[0]).toBe("CLIPTextEncode");
    const picture = { class: "VAEDecode", side: "output", slot: 0, type: "IMAGE" } as const;
    const next = names("", { from: picture, first: usualNext(picture) });
    expect(next[0]).toBe("SaveImage");
    expect(next.slice(0, 8)).toEqual(expect.arrayContaining(["PreviewImage", "VAEEncode", "ImageUpscaleWithModel"]));
  });

  it("lists what the user added last before what is usual", () => {
    const from = { side: "output", type: "LATENT" } as const;
    expect(names("", { from, first: ["LatentFlip", "VAEDecode"] }).slice(0, 2)).toEqual(["LatentFlip", "VAEDecode"]);
  });
});

describe("typos", () => {
  it("count changed, added, dropped and swapped letters", () => {
    expect(typos("ksmapler", "ksampler", 2)).toBe(1);
    expect(typos("decode", "decode", 2)).toBe(0);
    expect(typos("decod", "decode", 2)).toBe(1);
    expect(typos("deecode", "decode", 2)).toBe(1);
    expect(typos("dekode", "decode", 2)).toBe(1);
    expect(typos("kitten", "sitting", 3)).toBe(3);
  });

  it("count only the start of a much longer word", () => {
    expect(typos("smapl", "samplerselect", 1)).toBe(1);
    expect(typos("model", "vae", 1)).toBeGreaterThan(1);
  });
});
