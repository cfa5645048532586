import { describe, expect, it } from "vitest";
import type { Doc, GraphNode } from "../document/document";
import { geometry } from "../document/geometry";
import { readCatalogue } from "../document/schema";
import { widgetViews } from "../document/widget_views";
import { advanced } from "./seeds";

const catalogue = readCatalogue({
  KSampler: {
    input: {
      required: {
        seed: ["INT", { min: 0, max: 100 }],
        cfg: ["FLOAT", { min: 0, max: 1, step: 0.1 }],
        sampler_name: [["euler", "heun"]],
        text: ["STRING", {}],
      },
    },
    output: [],
  },
  LoadImage: {
    input: { required: { image: [["a.png"], { image_upload: true }] } },
    output: ["IMAGE"],
    output_name: ["IMAGE"],
  },
});

/** A sampler with one field fed by a primitive. */
function fed(field: string, type: string, values: unknown[]): Doc {
  const primitive: GraphNode = {
    id: 1,
    type: "PrimitiveNode",
    widgets_values: values,
    outputs: [{ name: type, type, links: [1] }],
  };
  const sampler: GraphNode = {
    id: 2,
    type: "KSampler",
    inputs: [{ name: field, type, link: 1, widget: { name: field } }],
    widgets_values: [5, "fixed", 0.5, "euler", ""],
  };
  return { nodes: [primitive, sampler], links: [[1, 1, 0, 2, 0, type]] };
}

const after = (doc: Doc): unknown[] => advanced(doc, catalogue).nodes[0]?.widgets_values as unknown[];

describe("a primitive, after a run", () => {
  it("changes as it is set, within the bounds of its input", () => {
    expect(after(fed("seed", "INT", [42, "increment"]))).toEqual([43, "increment"]);
    expect(after(fed("seed", "INT", [42, "decrement"]))).toEqual([41, "decrement"]);
    expect(after(fed("seed", "INT", [100, "increment"]))).toEqual([100, "increment"]);
    expect(after(fed("sampler_name", "COMBO", ["euler", "increment", ""]))).toEqual(["heun", "increment", ""]);
    expect(after(fed("cfg", "FLOAT", [0.2, "increment"]))).toEqual([0.3, "increment"]);
    expect(after(fed("cfg", "FLOAT", [1, "increment"]))).toEqual([1, "increment"]);
    const [random] = after(fed("cfg", "FLOAT", [0.2, "randomize"])) as [number];
    expect(random).toBeGreaterThanOrEqual(0);
    expect(random).toBeLessThanOrEqual(1);
  });

  it("stays if it is fixed, a text, or not linked", () => {
    for (const doc of [
      fed("seed", "INT", [42, "fixed"]),
      fed("text", "STRING", ["increment"]),
      { ...fed("seed", "INT", [42, "increment"]), links: [] },
    ]) {
      expect(advanced(doc, catalogue)).toBe(doc);
    }
  });

  it("shows its setting", () => {
    const shown = (doc: Doc) => widgetViews(doc.nodes[0] as GraphNode, { doc, catalogue })[0]?.input.controlled;
    expect(shown(fed("seed", "INT", [42, "increment"]))).toBe(true);
    expect(shown(fed("text", "STRING", ["a text"]))).toBe(false);
  });
});

it("a front end's button that a file lists among the inputs is not a socket", () => {
  const slot = (name: string, type: string, link: number | null) => ({ name, type, link, widget: { name } });
  const node = (link: number | null): GraphNode => ({
    id: 1,
    type: "LoadImage",
    inputs: [slot("image", "COMBO", null), slot("upload", "IMAGEUPLOAD", link)],
    widgets_values: ["a.png", "image"],
  });
  const sockets = (of: GraphNode) =>
    geometry(of, { doc: { nodes: [of], links: [] }, catalogue }).inputs.map(({ name }) => name);
  expect(sockets(node(null))).toEqual([]);
  expect(sockets(node(3))).toEqual(["upload"]);
});
