import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { demoOf } from "./demo";
import { type Doc, fits, linksOf } from "./document";
import { type RawNodeDef, readCatalogue } from "./schema";
import { shownInputs } from "./widget_values";

const INFO = join(import.meta.dirname, "../../../tests/object_info.json");
const catalogue = readCatalogue(JSON.parse(readFileSync(INFO, "utf-8")) as Record<string, RawNodeDef>);
const demo = (name: string) => demoOf(name, catalogue)!;
const types = (name: string) => demo(name).nodes.map((node) => node.type);

describe("a small workflow that shows a node", () => {
  it("leads from a checkpoint to a saved picture for a node that changes the model", () => {
    expect(types("RandomNoise")).toContain("SamplerCustomAdvanced");
    expect(types("CFGGuider")).toContain("RandomNoise");
    expect(types("FreeU").toSorted()).toEqual(
      [
        "FreeU",
        "KSampler",
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "CLIPTextEncode",
        "EmptyLatentImage",
        "VAEDecode",
        "SaveImage",
      ].toSorted(),
    );
  });

  it("has one node for each prompt and one checkpoint", () => {
    const found = types("KSampler");
    expect(found.filter((type) => type === "CLIPTextEncode")).toHaveLength(2);
    expect(found.filter((type) => type === "CheckpointLoaderSimple")).toHaveLength(1);
  });

  it("is short for a picture filter", () => {
    expect(types("ImageInvert").length).toBeLessThanOrEqual(3);
  });

  it.each([...catalogue.keys()])("is complete for %s", (name) => {
    const doc = demo(name);
    expect(doc.nodes[0]?.type).toBe(name);
    expect(doc.nodes.length).toBeLessThan(25);
    for (const node of doc.nodes) {
      const def = catalogue.get(node.type)!;
      const open = shownInputs(node, def).filter((input) => {
        const slot = node.inputs?.find((each) => each.name === input.name);
        return input.widget === null && input.required && (slot?.link ?? null) === null;
      });
      // Only a type that no node gives stays open.
      const given = (type: string) =>
        [...catalogue.values()].some((each) => each.outputs.some((out) => fits(type, out.type)));
      expect(open.filter((input) => given(input.type)).map((input) => `${node.type}.${input.name}`)).toEqual([]);
    }
    expect(circles(doc), "circles").toEqual([]);
  });
});

/** The nodes that lead back to themselves. */
function circles(doc: Doc): string[] {
  const links = linksOf(doc);
  const leadsTo = (id: string, end: string, passed: Set<string>): boolean =>
    links.some(({ origin_id, target_id }) => {
      if (String(origin_id) !== id) return false;
      const to = String(target_id);
      if (to === end) return true;
      return !passed.has(to) && leadsTo(to, end, passed.add(to));
    });
  return doc.nodes.map((node) => String(node.id)).filter((id) => leadsTo(id, id, new Set()));
}
