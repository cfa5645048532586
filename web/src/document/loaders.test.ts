import { describe, expect, it } from "vitest";
import { loaderOf } from "./loaders";
import { readCatalogue } from "./schema";

const lists = (folder: string, more = {}) => ({
  input: { required: { name: [["a"]] as [unknown] } },
  model_folders: { name: folder },
  output: [],
  ...more,
});
const catalogue = readCatalogue({
  OldLoader: lists("checkpoints"),
  CheckpointLoaderSimple: lists("checkpoints"),
  DeprecatedStyle: lists("style_models", { deprecated: true }),
  StyleModelLoader: lists("style_models"),
});

describe("the loader of a model file", () => {
  it("is the usual node of the folder", () => {
    expect(loaderOf(catalogue, "checkpoints")?.def.name).toBe("CheckpointLoaderSimple");
  });
  it("is else a node that lists the folder and is not deprecated", () => {
    expect(loaderOf(catalogue, "style_models")).toMatchObject({ def: { name: "StyleModelLoader" }, field: "name" });
  });
  it("does not exist for a folder that no node lists", () => {
    expect(loaderOf(catalogue, "embeddings")).toBeNull();
  });
});
