import { describe, expect, it } from "vitest";
import type { Doc } from "../document/document";
import { readCatalogue } from "../document/schema";
import { chosenPrompt, withChosenPrompts } from "./dynamic_prompts";
import { toNamedApi } from "./file_names";

const catalogue = readCatalogue({
  CLIPTextEncode: {
    input: { required: { text: ["STRING", { multiline: true, dynamicPrompts: true }], clip: ["CLIP"] } },
    output: [],
  },
  KSampler: { input: { required: { steps: ["INT", { default: 20 }], sampler_name: [["euler"], {}] } }, output: [] },
  SaveImage: {
    input: { required: { images: ["IMAGE"], filename_prefix: ["STRING", { default: "Sumi" }] } },
    output: [],
  },
});

const first = () => 0;
const last = () => 0.999;

describe("a dynamic prompt", () => {
  it.each([
    ["a {red|green|blue} apple", "a red apple", "a blue apple"],
    ["a {{dark|light} red|blue} apple", "a dark red apple", "a blue apple"],
    ["{|very }big", "big", "very big"],
    ["only {one}", "only one", "only one"],
    ["\\{a\\|b\\} {c|d}", "{a|b} c", "{a|b} d"],
    ["a | b } c", "a | b } c", "a | b } c"],
    ["open {a|b", "open {a|b", "open {a|b"],
    ["{a|b", "{a|b", "{a|b"],
    ["back\\slash", "back\\slash", "back\\slash"],
    ["a /* not {x|y} this */b // nor this\nc", "a b \nc", "a b \nc"],
    ["{苹果|🍎}", "苹果", "🍎"],
  ])("%s", (text, least, most) => {
    expect(chosenPrompt(text, first)).toBe(least);
    expect(chosenPrompt(text, last)).toBe(most);
  });

  it("chooses every option about equally often", () => {
    const seen: Record<string, number> = {};
    for (let turn = 0; turn < 3000; turn += 1) {
      const word = chosenPrompt("{a|b|c}");
      seen[word] = (seen[word] ?? 0) + 1;
    }
    expect(Object.keys(seen).sort()).toEqual(["a", "b", "c"]);
    for (const count of Object.values(seen)) expect(Math.abs(count - 1000)).toBeLessThan(200);
  });
});

describe("a document", () => {
  const doc = {
    nodes: [
      { id: 1, type: "CLIPTextEncode", widgets_values: ["a {red|blue} apple"] },
      { id: 2, type: "KSampler", title: "Sample v1.5", widgets_values: [30, "euler"] },
      {
        id: 3,
        type: "SaveImage",
        widgets_values: ["%date:yyyy-MM-dd hh.mm.ss%/%Sample v1.5.steps%/%Paths.sampler_name%_%width%_%nobody.x%"],
      },
      { id: 4, type: "KSampler", properties: { "Node name for S&R": "Paths" }, widgets_values: [1, "../eu:ler"] },
      { id: 5, type: "inner" },
    ],
    links: [],
    definitions: {
      subgraphs: [
        { id: "inner", name: "x", nodes: [{ id: 1, type: "CLIPTextEncode", widgets_values: ["{c|d}"] }], links: [] },
      ],
    },
  } as unknown as Doc;

  it("has its prompts resolved, also in subgraphs, and nothing else changed", () => {
    const chosen = withChosenPrompts(doc, catalogue, last);
    expect(chosen.nodes[0]!.widgets_values).toEqual(["a blue apple"]);
    expect(chosen.definitions!.subgraphs![0]!.nodes[0]!.widgets_values).toEqual(["d"]);
    expect(chosen.nodes.slice(1)).toEqual(doc.nodes.slice(1));
  });

  it("without patterns stays the same object", () => {
    const settled = withChosenPrompts(doc, catalogue, last);
    expect(withChosenPrompts(settled, catalogue)).toBe(settled);
  });

  it("gets its file names filled in; a value cannot leave its folder", () => {
    const filled = toNamedApi(doc, catalogue, new Date(2026, 10, 3, 4, 5, 6));
    expect(filled[3]!.inputs.filename_prefix).toBe("2026-11-03 04.05.06/30/.._eu_ler_%width%_%nobody.x%");
  });

  it.each([
    ["100%_%date:yyyy%", "100%_2026"],
    ["100%_%Paths.steps%_%width%", "100%_1_%width%"],
    ["50%a.b%_%date:MM%%date:dd%", "50%a.b%_1103"],
    ["%%date:yyyy%%", "%2026%"],
    ["%date:yyyy", "%date:yyyy"],
  ])("fills in the tokens of %s despite other percent signs", (prefix, name) => {
    const named = { ...doc, nodes: doc.nodes.with(2, { ...doc.nodes[2]!, widgets_values: [prefix] }) };
    expect(toNamedApi(named, catalogue, new Date(2026, 10, 3))[3]!.inputs.filename_prefix).toBe(name);
  });
});
