/** Making and dissolving subgraphs, changing their ports and fields; links and values stay where they belong. */

import { describe, expect, it } from "vitest";
import { toApi } from "../format/api";
import { type Doc, emptyDocument, type GraphNode, nodesById, type Subgraph, subgraphs } from "./document";
import { addNode, changeLevel, connect } from "./edits";
import { holds, lift, madeUnique, shown } from "./lifting";
import { newNode } from "./new_nodes";
import { addPort, movePort, portFor, removePort, renamePort } from "./ports";
import { readCatalogue } from "./schema";
import { unwrap, wrap } from "./subgraph_edits";
import { setWidget } from "./widget_views";

const catalogue = readCatalogue({
  Text: { input: { required: { text: ["STRING", { multiline: true }], clip: ["CLIP"] } }, output: ["CONDITIONING"] },
  Load: { input: { required: { name: [["a", "b"]] } }, output: ["CLIP"] },
  Draw: {
    input: { required: { positive: ["CONDITIONING"], seed: ["INT", { default: 3 }], steps: ["INT", { default: 20 }] } },
    output: ["IMAGE"],
  },
  Save: { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true },
});
const around = (doc: Doc) => ({ doc, catalogue });

/** Load 1 → Text 2 → Draw 3 → Save 4. */
function chain(): Doc {
  let doc = emptyDocument();
  ["Load", "Text", "Draw", "Save"].forEach((type, index) => {
    doc = addNode(doc, newNode(catalogue.get(type) as never, index + 1, [300 * index, 0])) as Doc;
  });
  const link = (origin: string, target: string) => {
    doc = connect(doc, { origin, originSlot: 0, target, targetSlot: 0 }) as Doc;
  };
  link("1", "2");
  link("2", "3");
  link("3", "4");
  return doc;
}

function made(doc = chain(), ids = ["2", "3"]): { doc: Doc; holder: string; definition: Subgraph } {
  const result = wrap(doc, [], new Set(ids), "Make it", around(doc));
  if (!result) throw new Error("nothing was made");
  const type = nodesById(result.doc).get(result.id)?.type as string;
  return { doc: result.doc, holder: result.id, definition: subgraphs(result.doc).get(type) as Subgraph };
}

const api = (doc: Doc) => toApi(doc, catalogue);
const holderOf = (doc: Doc, id: string) =>
  nodesById(doc).get(id) as GraphNode & Required<Pick<GraphNode, "inputs" | "outputs" | "properties">>;

describe("making one", () => {
  it("runs the same nodes, and shows prompt and seed", () => {
    const { doc, holder } = made();
    const before = api(chain());
    const after = api(doc);
    expect(after[`${holder}:2`]).toEqual({ ...before["2"], inputs: { ...before["2"]?.inputs, clip: ["1", 0] } });
    expect(after[`${holder}:3`]?.inputs.positive).toEqual([`${holder}:2`, 0]);
    expect(after["4"]?.inputs.images).toEqual([`${holder}:3`, 0]);
    expect(shown(holderOf(doc, holder)).map(({ inner, name }) => [inner, name])).toEqual([
      ["2", "text"],
      ["3", "seed"],
    ]);
  });

  it("passes the values on its node to the inner nodes", () => {
    const { doc, holder } = made();
    const set = changeLevel(doc, [], (level) => ({
      ...level,
      nodes: level.nodes.map((node) =>
        String(node.id) === holder ? setWidget(node, "2/text", "a tower", around(doc)) : node,
      ),
    }));
    expect(api(set)[`${holder}:2`]?.inputs.text).toBe("a tower");
    const flat = unwrap(set, [], holder, around(set));
    expect(Object.values(api(flat?.doc as Doc)).find((node) => node.class_type === "Text")?.inputs.text).toBe(
      "a tower",
    );
  });

  it("dissolves into its contents, including nested subgraphs", () => {
    const inner = made(chain(), ["2"]);
    const outer = made(inner.doc, [inner.holder, "3"]);
    const once = unwrap(outer.doc, [], outer.holder, around(outer.doc)) as { doc: Doc; ids: string[] };
    const nested = once.doc.nodes.find((node) => subgraphs(once.doc).has(node.type));
    const twice = unwrap(once.doc, [], String(nested?.id), around(once.doc)) as { doc: Doc };
    const shape = (doc: Doc) =>
      Object.values(api(doc))
        .map(({ class_type, inputs }) => [class_type, Object.keys(inputs).length])
        .sort();
    expect(shape(twice.doc)).toEqual(shape(chain()));
    expect(twice.doc.definitions?.subgraphs).toEqual([]);
  });
});

describe("ports", () => {
  it("are added with a link to the free slot, named after the other end, with its field", () => {
    const { doc, holder, definition } = made();
    const ends = [
      { node: "-10", side: "output", slot: definition.inputs.length, type: "*" },
      { node: "3", side: "input", slot: "steps", type: "INT" },
    ] as const;
    const opened = portFor(doc, [definition.id], ...ends);
    const linked = changeLevel(opened, [definition.id], (level) =>
      connect(level, { origin: "-10", originSlot: definition.inputs.length, target: "3", targetSlot: "steps" }, "INT"),
    );
    const after = subgraphs(linked).get(definition.id) as Subgraph;
    expect(after.inputs.map(({ name, type }) => [name, type])).toEqual([
      ["clip", "CLIP"],
      ["steps", "INT"],
    ]);
    expect(holderOf(linked, holder).inputs.at(-1)).toEqual({
      name: "steps",
      type: "INT",
      link: null,
      widget: { name: "steps" },
    });
    expect(api(linked)[`${holder}:3`]?.inputs.steps).toBe(20);
    const set = changeLevel(linked, [], (level) => ({
      ...level,
      nodes: level.nodes.map((node) =>
        String(node.id) === holder ? setWidget(node, "-1/steps", 7, around(linked)) : node,
      ),
    }));
    expect(api(set)[`${holder}:3`]?.inputs).toMatchObject({ steps: 7, seed: 3 });
  });

  const two = () => {
    const { doc, holder, definition } = made();
    const more = addPort(doc, definition.id, "inputs", { name: "second", type: "CLIP" });
    const linked = changeLevel(more, [], (level) =>
      connect(level, { origin: "1", originSlot: 0, target: holder, targetSlot: 1 }),
    );
    return { doc: linked, holder, definition: definition.id };
  };

  it("swap places together with their links, inside and outside", () => {
    const { doc, holder, definition } = two();
    const before = api(doc);
    const moved = movePort(doc, { definition, side: "inputs", index: 1 }, -1);
    expect(
      subgraphs(moved)
        .get(definition)
        ?.inputs.map(({ name }) => name),
    ).toEqual(["second", "clip"]);
    expect(holderOf(moved, holder).inputs.map(({ name }) => name)).toEqual(["second", "clip"]);
    expect(
      moved.links.map((link) => (link as number[]).slice(3, 5)).filter(([node]) => String(node) === holder),
    ).toEqual([
      [Number(holder), 1],
      [Number(holder), 0],
    ]);
    expect(api(moved)).toEqual(before);
    expect(movePort(moved, { definition, side: "inputs", index: 0 }, 1).links).toEqual(doc.links);
  });

  it("are removed with their links; other ports keep theirs", () => {
    const { doc, holder, definition } = two();
    const without = removePort(doc, { definition, side: "inputs", index: 0 });
    expect(holderOf(without, holder).inputs.map(({ name }) => name)).toEqual(["second"]);
    expect(without.links.filter((link) => String((link as number[])[3]) === holder)).toHaveLength(1);
    expect(
      subgraphs(without)
        .get(definition)
        ?.links.every((link) => (link as { origin_id: unknown }).origin_id !== -10),
    ).toBe(true);
    expect(api(without)[`${holder}:2`]?.inputs.clip).toBeUndefined();
    const noOutput = removePort(doc, { definition, side: "outputs", index: 0 });
    expect(api(noOutput)["4"]?.inputs.images).toBeUndefined();
  });

  it("are relabelled for people; links use the unchanged name", () => {
    const { doc, holder, definition } = two();
    const renamed = renamePort(doc, { definition, side: "inputs", index: 0 }, "the model’s words");
    expect(holderOf(renamed, holder).inputs[0]).toMatchObject({ name: "clip", label: "the model’s words" });
    expect(api(renamed)).toEqual(api(doc));
  });
});

describe("fields and instances", () => {
  it("are promoted on every node of the subgraph, and hidden again", () => {
    const { doc, holder, definition } = made();
    const lifted = lift(doc, definition.id, "3", "steps", true);
    expect(holderOf(lifted, holder).properties.proxyWidgets).toEqual([
      ["2", "text"],
      ["3", "seed"],
      ["3", "steps"],
    ]);
    expect(lift(lifted, definition.id, "3", "steps", false)).toEqual(doc);
  });

  it("two nodes of one subgraph change together until one is made unique", () => {
    const { doc, holder, definition } = made();
    const second = addNode(doc, { ...holderOf(doc, holder), id: 50 }) as Doc;
    const own = madeUnique(second, (listed, change) => changeLevel(listed, [], change), holderOf(second, "50"), "own");
    expect(holderOf(own, "50").type).toBe("own");
    const changed = addPort(own, "own", "inputs", { name: "more", type: "CLIP" });
    expect(holderOf(changed, "50").inputs).toHaveLength(2);
    expect(holderOf(changed, holder).inputs).toHaveLength(1);
    expect(subgraphs(changed).get(definition.id)).toBe(definition);
  });

  it("a subgraph that would contain itself is detected", () => {
    const inner = made(chain(), ["2"]);
    const outer = made(inner.doc, [inner.holder, "3"]);
    expect(holds(outer.doc, [outer.definition.id], new Set([inner.definition.id]))).toBe(true);
    expect(holds(outer.doc, [inner.definition.id], new Set([outer.definition.id]))).toBe(false);
  });
});
