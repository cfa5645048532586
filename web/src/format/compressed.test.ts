/** Subgraph nodes saved without the sockets of their unlinked fields, as newer front ends save them. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Doc, type GraphNode, nodesById, type Subgraph, subgraphs } from "../document/document";
import { connect } from "../document/edits";
import { lift, shown } from "../document/lifting";
import { removePort } from "../document/ports";
import { readCatalogue } from "../document/schema";
import { setWidget, widgetViews } from "../document/widget_views";
import { toApi } from "./api";

const open = (name: string): Doc =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../../../tests/cases", `${name}.json`), "utf8")) as Doc;

const catalogue = readCatalogue({
  StringConcatenate: {
    input: { required: { string_a: ["STRING"], string_b: ["STRING"], delimiter: ["STRING"] } },
    output: ["STRING"],
  },
  KSampler: {
    input: {
      required: {
        model: ["MODEL"],
        seed: ["INT", { control_after_generate: true }],
        steps: ["INT"],
        cfg: ["FLOAT"],
        sampler_name: [["euler", "heun"]],
        scheduler: [["normal", "karras"]],
        positive: ["CONDITIONING"],
        negative: ["CONDITIONING"],
        latent_image: ["LATENT"],
        denoise: ["FLOAT"],
      },
    },
    output: ["LATENT"],
  },
});

const texts = open("subgraph_compressed");
const numbers = open("subgraph_compressed_numbers");
const holder = (doc: Doc): GraphNode => nodesById(doc).get("9") as GraphNode;

describe("a subgraph node without the sockets of its unlinked fields", () => {
  it("gives the field to the input with that name and the link to the other", () => {
    expect(toApi(texts, catalogue)["9:5"]?.inputs).toEqual({
      string_a: "field of the subgraph node",
      string_b: ["1", 0],
      delimiter: "+",
    });
  });

  it("assigns numbers by name, in any order", () => {
    const inputs = toApi(numbers, catalogue)["9:5"]?.inputs;
    expect(inputs).toMatchObject({ seed: 4711, steps: 3, model: ["1", 0], latent_image: ["4", 0] });
  });

  it("uses the inner node's own value if nothing is promoted", () => {
    const bare: Doc = {
      ...texts,
      nodes: texts.nodes.map((node) => (node.id === 9 ? { ...node, properties: {}, widgets_values: [] } : node)),
    };
    expect(toApi(bare, catalogue)["9:5"]?.inputs.string_a).toBe("inner a");
  });

  it("goes by position if there are no names", () => {
    const nameless: Doc = {
      ...texts,
      nodes: texts.nodes.map((node) =>
        node.id === 9
          ? {
              ...node,
              inputs: [
                { name: "", type: "STRING", link: null },
                { name: "", type: "STRING", link: 1 },
              ],
              properties: {},
              widgets_values: [],
            }
          : node,
      ),
      links: [[1, 1, 0, 9, 1, "STRING"], ...texts.links.slice(1)],
    };
    expect(toApi(nameless, catalogue)["9:5"]?.inputs).toMatchObject({ string_a: "inner a", string_b: ["1", 0] });
  });

  it("shows the fields, and edits reach the inner nodes", () => {
    const around = { doc: numbers, catalogue };
    const views = widgetViews(holder(numbers), around);
    expect(views.map(({ input, value }) => [input.name, value])).toEqual([
      ["steps", 3],
      ["seed", 4711],
    ]);
    const written = setWidget(holder(numbers), "-1/seed", 5, around);
    const doc = { ...numbers, nodes: numbers.nodes.map((node) => (node.id === 9 ? written : node)) };
    expect(toApi(doc, catalogue)["9:5"]?.inputs).toMatchObject({ seed: 5, steps: 3 });
  });

  it("keeps its values when another field is shown, hidden or linked", () => {
    const definition = numbers.definitions?.subgraphs?.[0] as Subgraph;
    const lifted = lift(numbers, definition.id, "5", "cfg", true);
    expect(toApi(lifted, catalogue)["9:5"]?.inputs).toMatchObject({ seed: 4711, steps: 3, cfg: 5.5 });
    const hidden = lift(lifted, definition.id, "5", "cfg", false);
    expect(toApi(hidden, catalogue)["9:5"]?.inputs).toMatchObject({ seed: 4711, steps: 3 });
    const linked = connect(texts, { origin: "1", originSlot: 0, target: "9", targetSlot: "string_a" }, "STRING") as Doc;
    expect(toApi(linked, catalogue)["9:5"]?.inputs).toMatchObject({ string_a: ["1", 0], string_b: ["1", 0] });
  });

  it("removes the field with the port", () => {
    const [id] = [...subgraphs(numbers).keys()] as [string];
    const doc = removePort(numbers, { definition: id, side: "inputs", index: 0 });
    expect(
      subgraphs(doc)
        .get(id)
        ?.inputs.map(({ name }) => name),
    ).not.toContain("steps");
    expect(shown(holder(doc))).toEqual([{ inner: "-1", name: "seed", value: 4711 }]);
    expect(toApi(doc, catalogue)["9:5"]?.inputs).toMatchObject({ seed: 4711, steps: 20 });
  });
});
