/** Group nodes show the fields of their inner nodes, can be edited, run, and can be converted to subgraphs. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { toApi } from "../format/api";
import { advanced } from "../state/seeds";
import { type Doc, type GraphNode, nodesById, type Subgraph } from "./document";
import { geometry } from "./geometry";
import { withoutGroupNodes } from "./group_conversion";
import { groupPlan } from "./group_nodes";
import { readCatalogue } from "./schema";
import { setWidget, widgetViews } from "./widget_views";

const doc = JSON.parse(readFileSync(join(import.meta.dirname, "../../../tests/cases/group_node.json"), "utf8")) as Doc;

const number = { control_after_generate: true };
const catalogue = readCatalogue({
  KSampler: {
    input: {
      required: {
        model: ["MODEL"],
        seed: ["INT", number],
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
    output_name: ["LATENT"],
  },
  VAEDecode: { input: { required: { samples: ["LATENT"], vae: ["VAE"] } }, output: ["IMAGE"], output_name: ["IMAGE"] },
  CLIPTextEncode: {
    input: { required: { text: ["STRING", { multiline: true }], clip: ["CLIP"] } },
    output: ["CONDITIONING"],
    output_name: ["CONDITIONING"],
  },
});
const around = { doc, catalogue };
const holder = nodesById(doc).get("9") as GraphNode;
const replaced = (node: GraphNode): Doc => ({
  ...doc,
  nodes: doc.nodes.map((entry) => (entry.id === node.id ? node : entry)),
});

describe("a group node", () => {
  it("has the unlinked sockets and fields of its inner nodes", () => {
    const plan = groupPlan("workflow/Draw", around);
    expect(plan?.inputs.map(({ name }) => name)).toEqual(["model", "positive", "negative", "latent_image", "vae"]);
    expect(plan?.outputs.map(({ name }) => name)).toEqual(["IMAGE"]);
    expect(groupPlan("workflow>Draw", around)).toBe(plan);
    expect(groupPlan("workflow/Other", around)).toBeNull();
    expect(groupPlan("workflow/toString", around)).toBeNull();
    const place = geometry(holder, around);
    expect([place.look, place.title]).toEqual(["group", "Draw"]);
    expect(widgetViews(holder, around).map(({ input, value }) => [input.name, value])).toEqual([
      ["seed", 555],
      ["steps", 4],
      ["cfg", 5.5],
      ["sampler_name", "heun"],
      ["scheduler", "karras"],
      ["denoise", 1],
    ]);
  });

  it.each([
    { widgets_values: [555, 4, 5.5, "heun", "karras", 1] },
    { widgets_values: { seed: 555, steps: 4, cfg: 5.5, sampler_name: "heun", scheduler: "karras", denoise: 1 } },
  ])("takes values without companions and by name", (given) => {
    const other = { ...holder, ...given } as GraphNode;
    const wanted = { seed: 555, steps: 4, cfg: 5.5, sampler_name: "heun", scheduler: "karras", denoise: 1 };
    expect(toApi(replaced(other), catalogue)["9:0"]?.inputs).toMatchObject(wanted);
    const changed = setWidget(other, "0/steps", 7, around);
    expect(toApi(replaced(changed), catalogue)["9:0"]?.inputs).toMatchObject({ ...wanted, steps: 7 });
  });

  it("fills its list in when a field of a short list changes", () => {
    const changed = setWidget({ ...holder, widgets_values: [555] }, "0/cfg", 2.5, around);
    expect(changed.widgets_values).toEqual([555, 20, 2.5, "euler", "normal", 1]);
  });

  it("runs as its inner nodes, each under the group node's id and its index", () => {
    const api = toApi(doc, catalogue);
    expect(api["9:0"]).toMatchObject({
      class_type: "KSampler",
      inputs: {
        seed: 555,
        steps: 4,
        cfg: 5.5,
        sampler_name: "heun",
        scheduler: "karras",
        denoise: 1,
        model: ["1", 0],
        positive: ["2", 0],
        negative: ["3", 0],
        latent_image: ["4", 0],
      },
    });
    expect(api["9:1"]).toMatchObject({ class_type: "VAEDecode", inputs: { samples: ["9:0", 0], vae: ["1", 2] } });
    expect(api["7"]?.inputs.images).toEqual(["9:1", 0]);
    expect(api["9"]).toBeUndefined();
  });

  it("stores edited fields, and its seed changes after a run", () => {
    const written = setWidget(holder, "0/steps", 7, around);
    expect(written.widgets_values).toEqual([555, "fixed", 7, 5.5, "heun", "karras", 1]);
    const moving = replaced({ ...holder, widgets_values: [555, "increment", 4, 5.5, "heun", "karras", 1] });
    expect(nodesById(advanced(moving, catalogue)).get("9")?.widgets_values).toEqual([
      556,
      "increment",
      4,
      5.5,
      "heun",
      "karras",
      1,
    ]);
  });

  it("accepts a link to a field", () => {
    const slots = [...(holder.inputs ?? []), { name: "steps", type: "INT", link: 50, widget: { name: "steps" } }];
    const linked = { ...replaced({ ...holder, inputs: slots }), links: [...doc.links, [50, 4, 0, 9, 5, "INT"]] } as Doc;
    expect(toApi(linked, catalogue)["9:0"]?.inputs).toMatchObject({ steps: ["4", 0], seed: 555 });
  });

  it("distinguishes fields with the same name, and leaves out hidden and linked ones", () => {
    const text = (title: string | undefined, value: string) => ({
      type: "CLIPTextEncode",
      title,
      inputs: [{ name: "clip", type: "CLIP" }],
      widgets_values: [value],
    });
    const twice = {
      ...doc,
      extra: {
        groupNodes: {
          Two: {
            nodes: [text(undefined, "a"), text("No", "b"), text(undefined, "c")],
            links: [],
            config: { 2: { input: { text: { visible: false } } } },
          },
        },
      },
    } as unknown as Doc;
    const plan = groupPlan("workflow>Two", { doc: twice, catalogue });
    expect(plan?.fields.map(({ name, value }) => [name, value])).toEqual([
      ["text", "a"],
      ["No text", "b"],
    ]);
    expect(plan?.inputs.map(({ name }) => name)).toEqual(["clip", "No clip", "CLIPTextEncode clip"]);
  });

  it("becomes a subgraph that runs in the same way, and its definition is removed", () => {
    const made = withoutGroupNodes(doc, catalogue, () => "0b0b0b0b-0000-4000-8000-00000000000b", "Draw");
    expect(toApi(made, catalogue)).toEqual(toApi(doc, catalogue));
    expect(made.extra?.groupNodes).toEqual({});
    const definition = made.definitions?.subgraphs?.[0] as Subgraph;
    expect(definition).toMatchObject({ name: "Draw", version: 1 });
    expect(nodesById(made).get("9")).toMatchObject({
      title: "Draw",
      widgets_values: [555, 4, 5.5, "heun", "karras", 1],
    });
    expect(withoutGroupNodes(doc, catalogue, String, "Other")).toBe(doc);
  });

  it("may contain another one; one that contains itself is refused", () => {
    const group = groupPlan("workflow/Draw", around)?.definition;
    const outer = {
      nodes: [
        {
          type: "workflow/Draw",
          inputs: holder.inputs,
          outputs: holder.outputs,
          widgets_values: holder.widgets_values,
        },
      ],
      links: [],
    };
    const nested = {
      ...replaced({ ...holder, type: "workflow>Outer" }),
      extra: { groupNodes: { Draw: group, Outer: outer } },
    } as Doc;
    expect(toApi(nested, catalogue)["9:0:0"]?.inputs).toMatchObject({ seed: 555, steps: 4, model: ["1", 0] });
    expect(toApi(nested, catalogue)["7"]?.inputs.images).toEqual(["9:0:1", 0]);
    const circle = { nodes: [{ type: "workflow/Round", inputs: [], outputs: [], widgets_values: [] }], links: [] };
    const round = {
      ...doc,
      nodes: [{ id: 1, type: "workflow/Round" }],
      links: [],
      extra: { groupNodes: { Round: circle } },
    } as unknown as Doc;
    expect(() => toApi(round, catalogue)).toThrow("contains itself");
  });
});
