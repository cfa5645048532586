import { describe, expect, it } from "vitest";
import { type AppField, type PlacedField, placed } from "../document/app_fields";
import { type Doc, emptyDocument, type GraphNode, type Subgraph } from "../document/document";
import { newNode } from "../document/new_nodes";
import { type Catalogue, type InputDef, type NodeDef, readCatalogue } from "../document/schema";
import { seedControl, withSeedControl } from "../document/seed_control";
import { advanced, nextValue, reseeded, valuesSent } from "./seeds";

const seed: InputDef = {
  name: "seed",
  type: "INT",
  required: true,
  widget: "int",
  min: 0,
  max: 18446744073709551615n,
  controlled: true,
  folder: "input",
};

describe("a seed after a run", () => {
  it("stays, counts exactly above 2^53, and stops at its bounds", () => {
    expect(nextValue(seed, 5, "fixed")).toBeUndefined();
    expect(nextValue(seed, 5, "increment")).toBe(6);
    expect(nextValue(seed, 9007199254740991, "increment")).toBe(9007199254740992n);
    expect(nextValue(seed, 18446744073709551615n, "increment")).toBeUndefined();
    expect(nextValue(seed, 0, "decrement")).toBeUndefined();
    const random = nextValue(seed, 0, "randomize") as number;
    expect(Number.isSafeInteger(random) && random >= 0).toBe(true);
  });

  it("uses whole steps", () => {
    const width: InputDef = { ...seed, name: "width", min: 16, max: 64, step: 8 };
    expect(nextValue(width, 56, "increment")).toBe(64);
    expect(nextValue(width, 64, "increment")).toBeUndefined();
    expect(nextValue(width, 24, "decrement")).toBe(16);
    const drawn = new Set(Array.from({ length: 200 }, () => nextValue(width, 16, "randomize") as number));
    expect([...drawn].every((value) => value >= 16 && value <= 64 && value % 8 === 0)).toBe(true);
    expect(drawn.size).toBeGreaterThan(3);
  });

  it("goes through choices and stops at the ends", () => {
    const file: InputDef = { ...seed, type: "COMBO", choices: ["a", "b"] };
    expect(nextValue(file, "a", "increment")).toBe("b");
    expect(nextValue(file, "b", "increment")).toBe("b");
    expect(["a", "b"]).toContain(nextValue(file, "a", "randomize"));
  });
});

describe("seeds between runs", () => {
  const catalogue = readCatalogue({
    KSampler: { input: { required: { seed: ["INT", { min: 0, max: 1000 }], steps: ["INT", { min: 1 }] } }, output: [] },
  });
  const node = (id: number, seed: number, control: string) => ({
    ...newNode(catalogue.get("KSampler") as NodeDef, id, [0, 0]),
    widgets_values: [seed, control, 20],
  });
  const doc = { ...emptyDocument(), nodes: [node(1, 5, "increment"), node(2, 7, "fixed")] };
  const seeds = (of: Doc) => of.nodes.map(({ widgets_values }) => (widgets_values as unknown[])[0]);

  it("change only if a run was sent with them: a typed seed runs as it is", () => {
    const sent = valuesSent(doc, catalogue);
    const next = advanced(doc, catalogue, sent);
    expect(seeds(next)).toEqual([6, 7]);
    expect(advanced(next, catalogue, sent)).toBe(next);
    expect(seeds(advanced(next, catalogue, valuesSent(next, catalogue)))).toEqual([7, 7]);
    expect(advanced(doc, catalogue, {})).toBe(doc);
  });

  it("are drawn again on request, fixed ones too", () => {
    const drawn = seeds(reseeded(doc, catalogue));
    expect(drawn).not.toEqual([5, 7]);
    expect(drawn.every((seed) => typeof seed === "number" && seed >= 0 && seed <= 1000)).toBe(true);
    const empty = emptyDocument();
    expect(reseeded(empty, catalogue)).toBe(empty);
  });
});

const seedIn = (doc: Doc, input: string, catalogue: Catalogue) =>
  placed({ node: "1", input, kind: "seed" } as AppField, { doc, catalogue }) as PlacedField;

describe("the seed in the field of a subgraph's slot", () => {
  const catalogue = readCatalogue({
    KSampler: { input: { required: { seed: ["INT", { control_after_generate: true, max: 1000 }] } }, output: [] },
  });
  const sampler: GraphNode = {
    id: 7,
    type: "KSampler",
    inputs: [{ name: "seed", type: "INT", link: 1, widget: { name: "seed" } }],
    outputs: [],
    widgets_values: [3, "increment"],
  };
  const inside: Subgraph = {
    id: "inner",
    name: "Inner",
    inputNode: { id: -10 },
    outputNode: { id: -20 },
    inputs: [{ id: "a", name: "noise", type: "INT", linkIds: [1] }],
    outputs: [],
    nodes: [sampler],
    links: [{ id: 1, origin_id: -10, origin_slot: 0, target_id: 7, target_slot: 0, type: "INT" }],
  };
  const holder = (link: number | null): GraphNode => ({
    id: 1,
    type: "inner",
    inputs: [{ name: "noise", type: "INT", link, widget: { name: "noise" } }],
    outputs: [],
    widgets_values: [41],
  });
  const docWith = (link: number | null): Doc => ({
    ...emptyDocument(),
    nodes: [holder(link)],
    definitions: { subgraphs: [inside] },
  });

  it("changes as the inner node is set", () => {
    expect(advanced(docWith(null), catalogue).nodes[0]?.widgets_values).toEqual([42]);
  });

  it("stays while the slot is linked", () => {
    expect(advanced(docWith(5), catalogue).nodes[0]?.widgets_values).toEqual([41]);
  });

  it("can be locked in the app, on the node behind the slot", () => {
    const doc = docWith(null);
    expect(seedControl(seedIn(doc, "noise", catalogue), { doc, catalogue })).toBe("increment");
    const locked = withSeedControl(doc, seedIn(doc, "noise", catalogue), { doc, catalogue }, "fixed");
    expect(seedControl(seedIn(locked, "noise", catalogue), { doc: locked, catalogue })).toBe("fixed");
    expect(advanced(locked, catalogue)).toBe(locked);
  });
});

describe("the seed of a group node", () => {
  it("can be locked in the app, in the node's own list", () => {
    const catalogue = readCatalogue({
      KSampler: { input: { required: { seed: ["INT", { control_after_generate: true, max: 1000 }] } }, output: [] },
    });
    const inner = { id: -1, index: 0, type: "KSampler", inputs: [], outputs: [], widgets_values: [3, "randomize"] };
    const doc: Doc = {
      ...emptyDocument(),
      nodes: [{ id: 1, type: "workflow/G", inputs: [], outputs: [], widgets_values: [8, "increment"] }],
      extra: { groupNodes: { G: { nodes: [inner], links: [], external: [] } } },
    };
    expect(seedControl(seedIn(doc, "seed", catalogue), { doc, catalogue })).toBe("increment");
    const locked = withSeedControl(doc, seedIn(doc, "seed", catalogue), { doc, catalogue }, "fixed");
    expect(locked.nodes[0]?.widgets_values).toEqual([8, "fixed"]);
  });
});
