import { describe, expect, it } from "vitest";
import { type Doc, emptyDocument } from "../document/document";
import { readCatalogue } from "../document/schema";
import { placeOfField, sweepFields } from "./sweep_fields";

const catalogue = readCatalogue({
  Text: { input: { required: { text: ["STRING", {}], mode: [["a", "b"], {}] } }, output: ["TEXT"] },
  Show: { input: { required: { text: ["TEXT"], size: ["INT", { default: 1 }] } }, output: [], output_node: true },
});

const text = (id: number, more: object = {}) => ({
  id,
  type: "Text",
  pos: [0, 0] as [number, number],
  inputs: [],
  outputs: [{ name: "TEXT", type: "TEXT", links: [id] }],
  widgets_values: ["hello", "a"],
  ...more,
});

let doc: Doc = emptyDocument();

function open(parts: Partial<Doc>): void {
  doc = { ...emptyDocument(), ...parts };
}

const placeOf = (id: string, key: string) => placeOfField(doc, catalogue, { path: [], id, flat: id, key });

describe("a field that is swept", () => {
  it("is an input of its own node", () => {
    open({ nodes: [text(3)] });
    expect(placeOf("3", "text")).toEqual({ node: "3", input: "text" });
    expect(placeOf("3", "mode")).toEqual({ node: "3", input: "mode" });
  });

  it("is the inner input that a subgraph's node shows", () => {
    const inside = { id: "inner", name: "Inner", nodes: [text(3)], links: [], inputs: [], outputs: [] };
    const holder = (id: number) => ({
      id,
      type: "inner",
      pos: [0, 0] as [number, number],
      inputs: [],
      outputs: [],
      properties: { proxyWidgets: [["3", "text"]] },
      widgets_values: ["hello"],
    });
    open({ nodes: [holder(5), holder(6)], definitions: { subgraphs: [inside] } } as unknown as Partial<Doc>);
    expect(placeOf("5", "3/text")).toEqual({ node: "5:3", input: "text" });
    expect(placeOf("6", "3/text")).toEqual({ node: "6:3", input: "text" });
    expect(sweepFields(doc, catalogue).map(({ node, input }) => `${node}.${input}`)).toEqual([
      "5:3.text",
      "5:3.mode",
      "6:3.text",
      "6:3.mode",
    ]);
  });

  it("is none on a muted node, and none for a primitive that feeds two inputs", () => {
    open({ nodes: [text(3, { mode: 2 })] });
    expect(placeOf("3", "text")).toBeNull();
    const fed = (id: number, link: number) =>
      text(id, { inputs: [{ name: "text", type: "STRING", link, widget: { name: "text" } }] });
    const primitive = {
      id: 9,
      type: "PrimitiveNode",
      pos: [0, 0] as [number, number],
      inputs: [],
      outputs: [{ name: "STRING", type: "STRING", links: [21, 22] }],
      widgets_values: ["hello"],
    };
    const links = [
      [21, 9, 0, 3, 0, "STRING"],
      [22, 9, 0, 4, 0, "STRING"],
    ];
    open({ nodes: [fed(3, 21), fed(4, 22), primitive], links } as unknown as Partial<Doc>);
    expect(placeOf("9", "value")).toBeNull();
    open({ nodes: [fed(3, 21), text(4), primitive], links: links.slice(0, 1) } as unknown as Partial<Doc>);
    expect(placeOf("9", "value")).toEqual({ node: "3", input: "text" });
  });

  it("is offered only if it is not linked", () => {
    const show = {
      id: 4,
      type: "Show",
      pos: [0, 0] as [number, number],
      inputs: [{ name: "text", type: "TEXT", link: 3 }],
      outputs: [],
      widgets_values: [7],
    };
    open({ nodes: [text(3), show], links: [[3, 3, 0, 4, 0, "TEXT"]] } as unknown as Partial<Doc>);
    const fields = sweepFields(doc, catalogue);
    expect(fields.map(({ node, input, value }) => [node, input, value])).toEqual([
      ["3", "text", "hello"],
      ["3", "mode", "a"],
      ["4", "size", 7],
    ]);
  });
});
