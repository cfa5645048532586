/** Choices with inputs of their own, and inputs that grow: fields, sockets, files, and what the server gets. */

import { describe, expect, it } from "vitest";
import { toApi } from "../format/api";
import { fromApi } from "../format/from_api";
import { labelled } from "../i18n/node_names";
import { type Doc, emptyDocument, type GraphNode, linksOf } from "./document";
import { withDynamicSlots } from "./dynamic_slots";
import { addNode, connect, disconnect, mapNode } from "./edits";
import { geometry } from "./geometry";
import { newNode } from "./new_nodes";
import { readCatalogue } from "./schema";
import { setWidget } from "./widget_views";

const growing = (type: string, template: object) => [
  "COMFY_AUTOGROW_V3",
  { template: { input: { required: { image: [type] } }, ...template } },
];
const choice = (options: Record<string, object>) => [
  "COMFY_DYNAMICCOMBO_V3",
  { options: Object.entries(options).map(([key, required]) => ({ key, inputs: { required } })) },
];
const side = ["INT", { default: 512, min: 0, max: 4096 }];

const catalogue = readCatalogue({
  Load: { output: ["IMAGE"] },
  Resize: {
    input: {
      required: {
        input: ["IMAGE,MASK"],
        resize_type: choice({
          "scale dimensions": { width: side, height: side, crop: ["COMBO", { options: ["disabled", "center"] }] },
          "scale width": { width: side },
          "match size": { match: ["IMAGE,MASK"] },
        }),
        method: ["COMBO", { options: ["area", "lanczos"] }],
      },
    },
    output: ["IMAGE"],
  },
  Save: {
    input: {
      required: {
        images: ["IMAGE"],
        format: choice({
          png: { bit_depth: ["COMBO", { options: ["8-bit", "16-bit"] }] },
          avif: { crf: side, save_mode: choice({ still: {}, animated: { fps: ["FLOAT", { default: 6 }] } }) },
        }),
      },
    },
  },
  Batch: {
    input: { required: { images: growing("IMAGE", { prefix: "image", min: 1, max: 3 }), last: ["IMAGE"] } },
    output: ["IMAGE"],
  },
  Letters: { input: { required: { values: growing("IMAGE", { names: ["a", "b", "c"], min: 1 }) } } },
} as never);

const made = (type: string, id = 1): GraphNode => newNode(catalogue.get(type) as never, id, [0, 0]);
const docOf = (...types: string[]): Doc =>
  types.reduce<Doc>((doc, type, index) => addNode(doc, made(type, index + 1)) as Doc, emptyDocument());
const slots = (doc: Doc, id = 1) => doc.nodes.find((node) => node.id === id)?.inputs?.map(({ name }) => name);
const edited = (doc: Doc, change: (doc: Doc) => Doc): Doc => withDynamicSlots(change(doc), doc, catalogue);
const set = (doc: Doc, key: string, value: unknown, id = 1): Doc =>
  edited(doc, (now) => mapNode(now, `${id}`, (node) => setWidget(node, key, value, { doc, catalogue })) as Doc);
const fields = (doc: Doc) =>
  geometry(doc.nodes[0] as GraphNode, { doc, catalogue }).widgets.map(({ key, value }) => [key, value]);
const wire = (doc: Doc, origin: number, target: number, name: string): Doc =>
  edited(doc, (now) => {
    const targetSlot = slots(now, target)?.indexOf(name) as number;
    expect(targetSlot, name).toBeGreaterThanOrEqual(0);
    return connect(now, { origin: `${origin}`, originSlot: 0, target: `${target}`, targetSlot }) as Doc;
  });
const inputsOf = (doc: Doc, id: number) => toApi(doc, catalogue)[id]?.inputs;

describe("a choice with inputs", () => {
  it("has the fields of its first option on a new node", () => {
    const doc = docOf("Resize");
    expect(doc.nodes[0]?.widgets_values).toEqual(["scale dimensions", 512, 512, "disabled", "area"]);
    expect(slots(doc)).toEqual(["input"]);
    expect(fields(doc).map(([key]) => key)).toEqual([
      "resize_type",
      "resize_type.width",
      "resize_type.height",
      "resize_type.crop",
      "method",
    ]);
  });

  it("exchanges its fields, keeps values of the same name, and sends only what is chosen", () => {
    let doc = set(set(docOf("Resize"), "resize_type.width", 640), "method", "lanczos");
    doc = set(doc, "resize_type", "scale width");
    expect(doc.nodes[0]?.widgets_values).toEqual(["scale width", 640, "lanczos"]);
    expect(inputsOf(doc, 1)).toEqual({ resize_type: "scale width", "resize_type.width": 640, method: "lanczos" });
    doc = set(doc, "resize_type", "match size");
    expect(slots(doc)).toEqual(["input", "resize_type.match"]);
    expect(doc.nodes[0]?.widgets_values).toEqual(["match size", "lanczos"]);
  });

  it("removes the links to sockets that disappear, and no others", () => {
    let doc = set(docOf("Resize", "Load"), "resize_type", "match size");
    doc = wire(wire(doc, 2, 1, "input"), 2, 1, "resize_type.match");
    expect(inputsOf(doc, 1)).toMatchObject({ input: ["2", 0], "resize_type.match": ["2", 0] });
    doc = set(doc, "resize_type", "scale width");
    expect(slots(doc)).toEqual(["input"]);
    expect(linksOf(doc)).toHaveLength(1);
    expect(inputsOf(doc, 1)).toMatchObject({ input: ["2", 0], "resize_type.width": 512 });
  });

  it("may be among the inputs of an option", () => {
    let doc = set(docOf("Save"), "format", "avif");
    expect(doc.nodes[0]?.widgets_values).toEqual(["avif", 512, "still"]);
    doc = set(set(doc, "format.save_mode", "animated"), "format.save_mode.fps", 12);
    expect(doc.nodes[0]?.widgets_values).toEqual(["avif", 512, "animated", 12]);
    expect(inputsOf(doc, 1)).toEqual({
      format: "avif",
      "format.crf": 512,
      "format.save_mode": "animated",
      "format.save_mode.fps": 12,
    });
    expect(set(doc, "format", "png").nodes[0]?.widgets_values).toEqual(["png", "8-bit"]);
  });

  it("gets slots for its fields in a file that lists every field as a slot", () => {
    const doc = docOf("Resize");
    const field = (name: string, type: string) => ({ name, type, link: null, widget: { name } });
    const inputs = [
      ...(doc.nodes[0]?.inputs ?? []),
      field("resize_type", "COMFY_DYNAMICCOMBO_V3"),
      field("resize_type.width", "INT"),
      field("resize_type.height", "INT"),
      field("resize_type.crop", "COMBO"),
      field("method", "COMBO"),
    ];
    const listed = { ...doc, nodes: [{ ...(doc.nodes[0] as GraphNode), inputs }] };
    expect(fields(listed)).toEqual(fields(doc));
    const changed = set(listed, "resize_type", "scale width");
    expect(slots(changed)).toEqual(["input", "resize_type", "resize_type.width", "method"]);
    expect(slots(set(changed, "resize_type", "scale dimensions"))).toEqual(slots(listed));
  });

  it("reads values by name", () => {
    const doc = docOf("Resize");
    const widgets_values = { resize_type: "scale width", "resize_type.width": 9, method: "lanczos" };
    const named = { ...doc, nodes: [{ ...(doc.nodes[0] as GraphNode), widgets_values }] };
    expect(inputsOf(named, 1)).toEqual(widgets_values);
  });
});

describe("growing inputs", () => {
  it("have one free socket, up to the maximum", () => {
    let doc = docOf("Batch", "Load");
    expect(slots(doc)).toEqual(["images.image0", "last"]);
    doc = wire(doc, 2, 1, "last");
    doc = wire(doc, 2, 1, "images.image0");
    expect(slots(doc)).toEqual(["images.image0", "images.image1", "last"]);
    doc = wire(wire(doc, 2, 1, "images.image1"), 2, 1, "images.image2");
    expect(slots(doc)).toEqual(["images.image0", "images.image1", "images.image2", "last"]);
    const link = ["2", 0];
    expect(inputsOf(doc, 1)).toEqual({
      "images.image0": link,
      "images.image1": link,
      "images.image2": link,
      last: link,
    });
  });

  it("close the gap that a removed link leaves if they are numbered", () => {
    let doc = docOf("Batch", "Load", "Load");
    doc = wire(wire(wire(doc, 2, 1, "last"), 2, 1, "images.image0"), 3, 1, "images.image1");
    const first = linksOf(doc).find(({ target_slot, origin_id }) => target_slot === 0 && origin_id === 2);
    doc = edited(doc, (now) => disconnect(now, [first?.id as number]) as Doc);
    expect(slots(doc)).toEqual(["images.image0", "images.image1", "last"]);
    expect(inputsOf(doc, 1)).toEqual({ "images.image0": ["3", 0], last: ["2", 0] });
  });

  it("keep their names if these have a meaning", () => {
    let doc = docOf("Letters", "Load");
    doc = wire(wire(doc, 2, 1, "values.a"), 2, 1, "values.b");
    const [first] = linksOf(doc);
    doc = edited(doc, (now) => disconnect(now, [first?.id as number]) as Doc);
    expect(slots(doc)).toEqual(["values.a", "values.b", "values.c"]);
    expect(inputsOf(doc, 1)).toEqual({ "values.b": ["2", 0] });
  });

  it("are left alone by edits of other things", () => {
    const doc = docOf("Batch", "Load");
    const free = { name: "images.image1", type: "IMAGE", link: null, label: "image1" };
    const file = mapNode(doc, "1", (node) => ({ ...node, inputs: [...(node.inputs ?? []), free] })) as Doc;
    const moved = edited(file, (now) => mapNode(now, "1", (node) => ({ ...node, pos: [5, 5] })) as Doc);
    expect(moved.nodes[0]?.inputs).toBe(file.nodes[0]?.inputs);
  });

  it("are labelled with the end of their name, in Chinese with its translation", () => {
    const doc = docOf("Batch");
    const labels = (nodes: typeof catalogue) =>
      geometry(doc.nodes[0] as GraphNode, { doc, catalogue: nodes }).inputs.map(({ label }) => label);
    expect(labels(catalogue)).toEqual(["image0", "last"]);
    const words = { titles: { Batch: "组批" }, names: { image: "图像", last: "末" }, categories: {} };
    expect(labels(labelled(catalogue, words) as never)).toEqual(["图像0", "末"]);
  });
});

it("a workflow in the API dialect gets its fields and sockets", () => {
  const api = {
    "1": { class_type: "Load", inputs: {} },
    "2": { class_type: "Batch", inputs: { "images.image0": ["1", 0], "images.image1": ["1", 0], last: ["1", 0] } },
    "3": {
      class_type: "Resize",
      inputs: { "resize_type.match": ["1", 0], resize_type: "match size", input: ["2", 0], method: "area" },
    },
    "4": {
      class_type: "Save",
      inputs: {
        "format.save_mode.fps": 3,
        "format.save_mode": "animated",
        format: "avif",
        "format.crf": 7,
        images: ["3", 0],
      },
    },
  };
  const doc = fromApi(api as never, catalogue);
  expect(slots(doc, 2)).toEqual(["images.image0", "images.image1", "images.image2", "last"]);
  expect(toApi(doc, catalogue)).toEqual(api);
});
