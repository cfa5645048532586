import { describe, expect, it } from "vitest";
import { emptyDocument, type GraphNode } from "./document";
import { bySimilarity, missingIn, nothingMissing, similarity, withFiles } from "./missing";
import { readCatalogue } from "./schema";

const catalogue = readCatalogue({
  CheckpointLoaderSimple: {
    input: {
      required: {
        ckpt_name: [["sdxl/sd_xl_base_1.0.safetensors", "tiny.safetensors"]],
      },
    },
    model_folders: { ckpt_name: "checkpoints" },
    output: ["MODEL"],
  },
  LoraLoader: { input: { required: { lora_name: [[]] } }, model_folders: { lora_name: "loras" }, output: [] },
  PackLoader: { input: { required: { vae_name: [["a.pt"]], mode: [["fast", "slow"]] } }, output: [] },
  LoadImage: { input: { required: { image: [["cat.png"], { image_upload: true }] } }, output: ["IMAGE"] },
});

const node = (id: number, type: string, values: unknown[], more: Partial<GraphNode> = {}): GraphNode => ({
  id,
  type,
  pos: [0, 0],
  inputs: [],
  outputs: [],
  widgets_values: values,
  ...more,
});
const docOf = (...nodes: GraphNode[]) => ({ ...emptyDocument(), nodes });
const look = (...nodes: GraphNode[]) => missingIn({ doc: docOf(...nodes), catalogue });

describe("textual inversions in prompts", () => {
  const prompt = "a (embedding:lost:1.2), embedding:style.pt, embedding:known. embedding:lost";
  const texts = readCatalogue({
    CLIPTextEncode: { input: { required: { text: ["STRING", { multiline: true }] } }, output: ["CONDITIONING"] },
  });
  const env = { doc: docOf(node(1, "CLIPTextEncode", [prompt])), catalogue: texts };

  it("are missing if no file has their name", () => {
    const { models } = missingIn(env, ["sub/style", "known", "los"]);
    expect(models).toEqual([
      { name: "lost", folder: "embeddings", choices: ["los", "sub/style", "known"], places: ["1"] },
    ]);
    expect(missingIn(env).models).toEqual([]);
  });

  it("are replaced in the text, with their weights and signs kept", () => {
    const [file] = missingIn(env, ["known", "sub/style"]).models;
    const after = withFiles(env, [{ file: file as never, name: "known" }]);
    expect(after.nodes[0]?.widgets_values).toEqual([
      "a (embedding:known:1.2), embedding:style.pt, embedding:known. embedding:known",
    ]);
  });
});

describe("what a workflow lacks", () => {
  it("is nothing if every file and node is there", () => {
    const found = look(
      node(1, "CheckpointLoaderSimple", ["tiny.safetensors"]),
      node(2, "LoadImage", ["cat.png", "image"]),
    );
    expect(nothingMissing(found)).toBe(true);
  });

  it("names nodes once, with the pack that the file names", () => {
    const properties = { cnr_id: "comfyui-kjnodes", ver: "1.2.3" };
    const found = look(
      node(1, "Gone", [], { properties }),
      node(2, "Gone", []),
      node(3, "Other", [], { properties: { aux_id: "kijai/ComfyUI-KJNodes" } }),
    );
    expect(found.nodes).toEqual([
      { type: "Gone", places: ["1", "2"], registry: "comfyui-kjnodes", repository: undefined, version: "1.2.3" },
      { type: "Other", places: ["3"], registry: undefined, repository: "kijai/ComfyUI-KJNodes", version: undefined },
    ]);
  });

  it("names models with folder, address, hash and the nearest file", () => {
    const models = [
      {
        name: "sd_xl_base_1.0_0.9vae.safetensors",
        url: "https://example.org/x.safetensors",
        hash: "abc",
        hash_type: "SHA256",
        directory: "checkpoints",
      },
    ];
    const [model] = look(
      node(1, "CheckpointLoaderSimple", ["sd_xl_base_1.0_0.9vae.safetensors"], { properties: { models } }),
    ).models;
    expect(model).toEqual({
      name: "sd_xl_base_1.0_0.9vae.safetensors",
      folder: "checkpoints",
      choices: ["sdxl/sd_xl_base_1.0.safetensors", "tiny.safetensors"],
      places: ["1"],
      url: "https://example.org/x.safetensors",
      hash: "abc",
      hashType: "SHA256",
    });
  });

  it("reads the workflow's own list of models, and takes no address but http", () => {
    const doc = {
      ...docOf(node(1, "LoraLoader", ["style.safetensors"]), node(2, "LoraLoader", ["evil.safetensors"])),
      models: [
        { name: "style.safetensors", url: "https://example.org/style.safetensors", directory: "loras" },
        { name: "evil.safetensors", url: "javascript:alert(1)", directory: "loras" },
      ],
    };
    const { models } = missingIn({ doc, catalogue });
    expect(models.map(({ url }) => url)).toEqual(["https://example.org/style.safetensors", undefined]);
  });

  it("guesses the folder of a pack's field by its name, and leaves choices that are no files alone", () => {
    const { models } = look(node(1, "PackLoader", ["b.pt", "slowest"]));
    expect(models.map(({ name, folder }) => [name, folder])).toEqual([["b.pt", "vae"]]);
  });

  it("includes pictures, and what is inside subgraphs", () => {
    const inner = {
      id: "sub",
      name: "Sub",
      inputs: [],
      outputs: [],
      inputNode: { id: -10 },
      outputNode: { id: -20 },
      nodes: [node(5, "LoadImage", ["dog.png", "image"]), node(6, "Gone", [])],
      links: [],
    };
    const doc = { ...docOf(node(1, "sub", [])), definitions: { subgraphs: [inner] } };
    const found = missingIn({ doc, catalogue });
    expect(found.pictures).toEqual([{ name: "dog.png", choices: ["cat.png"], places: ["1:5"], picture: "input" }]);
    expect(found.nodes.map(({ places }) => places)).toEqual([["1:6"]]);
  });

  it("does not include a linked field", () => {
    const linked = node(1, "CheckpointLoaderSimple", ["gone.safetensors"], {
      inputs: [{ name: "ckpt_name", type: "COMBO", widget: { name: "ckpt_name" }, link: 3 }],
    });
    expect(look(linked).models).toEqual([]);
  });
});

describe("other files instead of missing ones", () => {
  it("go into every field with the missing name, and nowhere else", () => {
    const doc = docOf(
      node(1, "CheckpointLoaderSimple", ["gone.safetensors"]),
      node(2, "CheckpointLoaderSimple", ["gone.safetensors"]),
      node(3, "CheckpointLoaderSimple", ["other.safetensors"]),
    );
    const env = { doc, catalogue };
    const [file] = missingIn(env).models;
    const after = withFiles(env, [{ file: file!, name: "tiny.safetensors" }]);
    expect(after.nodes.map((each) => each.widgets_values)).toEqual([
      ["tiny.safetensors"],
      ["tiny.safetensors"],
      ["other.safetensors"],
    ]);
    expect(doc.nodes[0]?.widgets_values).toEqual(["gone.safetensors"]);
  });
});

describe("similar names", () => {
  it("ignore folders, endings, case and separators", () => {
    expect(similarity("SDXL\\sd_xl_base.ckpt", "sd-xl-base.safetensors")).toBe(1);
    expect(similarity("abc", "xyz")).toBe(0);
  });

  it("come first", () => {
    const there = ["flux_dev.safetensors", "dreamshaper_7.safetensors", "dreamshaper_8_inpainting.safetensors"];
    expect(bySimilarity("dreamshaper_8.safetensors", there)[2]).toBe("flux_dev.safetensors");
    expect(bySimilarity("flux1-dev-fp8.safetensors", there)[0]).toBe("flux_dev.safetensors");
  });
});
