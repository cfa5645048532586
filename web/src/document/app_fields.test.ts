import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import {
  type AppField,
  type AppForm,
  isChosen,
  withChosenFields,
  withChosenOutputs,
  withOpensAsApp,
  withoutChoice,
  withWholeChoice,
} from "./app_fields";
import type { Doc } from "./document";

const DOC = textToImage as unknown as Doc;

const field = (node: string, input: string, more: Partial<AppField> = {}): AppField => ({
  node,
  input,
  kind: "other",
  label: input,
  title: "",
  main: true,
  targets: [[node, input]],
  ...more,
});

const form = (...fields: AppField[]): AppForm => ({
  fields,
  outputs: [{ node: "9", title: "Save", saves: true, main: true }],
  chosen: false,
  opens_as_app: null,
});

const data = (doc: Doc) => doc.extra?.linearData as { inputs: unknown[]; outputs: unknown[] } | undefined;
const entries = (doc: Doc) => data(doc)?.inputs;

describe("the author's choice", () => {
  it("is written in ComfyUI's form, with the ids of the file", () => {
    const chosen = [field("7", "cfg"), field("2", "text")];
    const after = withChosenFields(DOC, form(...chosen), chosen);
    expect(after.extra?.linearData).toEqual({
      inputs: [
        [7, "cfg"],
        [2, "text"],
      ],
      outputs: [],
    });
    expect(after.extra?.ds).toEqual(DOC.extra?.ds);
    expect(isChosen(after, "7", "cfg")).toBe(true);
    expect(isChosen(after, "7", "steps")).toBe(false);
  });

  it("keeps entries and members that it does not know, and how entries are written", () => {
    const written = [["root:7:cfg", "cfg", { height: 90, more: 1 }], { future: true }, [99, "gone"], [2, "text"]];
    const doc: Doc = { ...DOC, extra: { linearData: { inputs: written, outputs: [9, 42], also: "kept" }, other: 5 } };
    const [cfg, text, seed] = [
      field("7", "cfg", { entry: 0 }),
      field("2", "text", { entry: 3 }),
      field("7", "seed", { main: false }),
    ];
    const all = form(cfg, text, seed);
    const after = withChosenFields(doc, all, [seed, text, cfg]);
    expect(entries(after)).toEqual([[7, "seed"], written[3], written[0], written[1], written[2]]);
    expect(after.extra).toMatchObject({ other: 5, linearData: { outputs: [9, 42], also: "kept" } });
    expect(isChosen(after, "7", "cfg")).toBe(true);
    const outputs = withChosenOutputs(after, all, []);
    expect(data(outputs)?.outputs).toEqual([42]);
    expect(data(withChosenOutputs(doc, all, ["9"]))?.outputs).toEqual([9, 42]);
    expect(withoutChoice(after).extra).toEqual({ other: 5, linearData: { also: "kept" } });
  });

  it("shows a field inside a subgraph on the subgraph's node", () => {
    const inner = { id: 3, type: "KSampler", widgets_values: [] };
    const doc = {
      ...DOC,
      nodes: [{ id: 57, type: "sub", inputs: [], outputs: [], widgets_values: [] }],
      links: [],
      definitions: {
        subgraphs: [
          { id: "sub", name: "Sub", nodes: [inner], links: [], inputs: [], outputs: [], inputNode: { id: -10 } },
        ],
      },
    } as unknown as Doc;
    const chosen = field("57:3", "cfg");
    const after = withChosenFields(doc, form(chosen), [chosen]);
    expect(entries(after)).toEqual([[57, "cfg"]]);
    expect(after.nodes[0]?.properties?.proxyWidgets).toEqual([["3", "cfg"]]);
  });

  it("is written whole, so that ComfyUI shows the app", () => {
    const all = form(field("2", "text"), field("9", "filename_prefix", { main: false }));
    expect(data(withWholeChoice(DOC, all))).toEqual({ inputs: [[2, "text"]], outputs: [9] });
    const chosen: Doc = { ...DOC, extra: { linearData: { inputs: [[7, "cfg"]], outputs: [] } } };
    expect(data(withWholeChoice(chosen, all))).toEqual({ inputs: [[7, "cfg"]], outputs: [9] });
  });

  it("says whether a file opens as an app", () => {
    expect(withOpensAsApp(DOC, true).extra?.linearMode).toBe(true);
    expect(withOpensAsApp(withOpensAsApp(DOC, true), false).extra?.linearMode).toBe(false);
  });
});
