import { describe, expect, it } from "vitest";
import { readCatalogue } from "../document/schema";
import { labelled } from "./node_names";
import * as chinese from "./nodes.zh";

const catalogue = readCatalogue({
  KSampler: {
    input: { required: { model: ["MODEL"], seed: ["INT", {}] } },
    output: ["LATENT"],
    display_name: "KSampler",
    category: "sampling",
  },
  PackNode: { input: { required: { seed: ["INT", {}] } }, output: [], display_name: "Mine", category: "image/mine" },
});

describe("nodes in Chinese", () => {
  it("have labels for the fields of a group", () => {
    const group = readCatalogue({
      ResizeImageMaskNode: {
        input: { required: { "resize_type.width": ["INT", {}], "values.zz": ["INT", {}] } },
        output: [],
        display_name: "Resize",
        category: "image",
      },
    });
    const inputs = labelled(group, chinese).get("ResizeImageMaskNode")!.inputs;
    expect(inputs.map((input) => input.label)).toEqual(["宽度", undefined]);
  });

  const named = labelled(catalogue, chinese);

  it("have Chinese labels and keep their names", () => {
    const sampler = named.get("KSampler")!;
    expect([sampler.title, sampler.label, sampler.categoryLabel]).toEqual(["KSampler", "K 采样器", "采样"]);
    expect(sampler.inputs.map(({ name, label }) => [name, label])).toEqual([
      ["model", "模型"],
      ["seed", "种子"],
    ]);
    expect(sampler.outputs[0]!.label).toBeUndefined();
  });

  it("from packs keep the names from their pack", () => {
    const own = named.get("PackNode")!;
    expect([own.label, own.inputs[0]!.label, own.categoryLabel]).toEqual([undefined, undefined, "图像/mine"]);
  });

  it("are English again if English is chosen", () => {
    expect([...labelled(named, null)]).toEqual([...labelled(catalogue, null)]);
    expect(labelled(named, null).get("KSampler")!.label).toBeUndefined();
  });
});
