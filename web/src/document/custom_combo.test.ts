/** Custom Combo: fields for the texts that the node lists, as ComfyUI's editor keeps them in files. */

import { expect, it } from "vitest";
import type { Doc, GraphNode } from "./document";
import { readCatalogue } from "./schema";
import { widgetValues } from "./widget_values";
import { setWidget, widgetViews } from "./widget_views";

const catalogue = readCatalogue({
  CustomCombo: { input: { required: { choice: ["COMBO", { options: [] }] } }, output: ["STRING", "INT"] },
});
const env = { doc: { nodes: [], links: [] } as unknown as Doc, catalogue };
const combo = (...values: unknown[]): GraphNode =>
  ({
    id: 1,
    type: "CustomCombo",
    pos: [0, 0],
    inputs: [],
    outputs: [],
    widgets_values: values,
  }) as unknown as GraphNode;
const shown = (node: GraphNode) => widgetViews(node, env).map(({ key, value }) => [key, value]);
const set = (node: GraphNode, key: string, value: string) => setWidget(node, key, value, env);

it("offers the texts that the node lists, and one more field", () => {
  const node = combo("blue", -1, "red", "blue", "");
  expect(shown(node)).toEqual([
    ["choice", "blue"],
    ["option1", "red"],
    ["option2", "blue"],
    ["option3", ""],
  ]);
  expect(widgetViews(node, env)[0]?.input.choices).toEqual(["red", "blue"]);
  expect(widgetValues(node, catalogue.get("CustomCombo"))).toMatchObject({ choice: "blue", index: 1, option3: "" });
});

it("grows as texts are written, and takes the first one", () => {
  const one = set(combo(null), "option1", "red");
  expect(one.widgets_values).toEqual(["red", 0, "red", ""]);
  expect(set(one, "option2", "blue").widgets_values).toEqual(["red", 0, "red", "blue", ""]);
});

it("keeps the choice on a text that is rewritten, and finds another for one that is emptied", () => {
  const node = combo("blue", 1, "red", "blue", "");
  expect(set(node, "option2", "navy").widgets_values).toEqual(["navy", 1, "red", "navy", ""]);
  expect(set(node, "option2", "").widgets_values).toEqual(["red", 0, "red", ""]);
  expect(set(node, "choice", "red").widgets_values).toEqual(["red", 0, "red", "blue", ""]);
});

it("keeps the place of texts after an empty one", () => {
  const node = set(combo("blue", 1, "red", "blue", ""), "option1", "");
  expect(node.widgets_values).toEqual(["blue", 1, "", "blue", ""]);
  expect(widgetViews(node, env)[0]?.input.choices).toEqual(["blue"]);
});
