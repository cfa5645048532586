/** Finds the node that loads a model file. */

import type { Catalogue, NodeDef } from "./schema";

/** Where several nodes list a folder, the one that people expect. */
const USUAL: Readonly<Record<string, string>> = {
  checkpoints: "CheckpointLoaderSimple",
  loras: "LoraLoader",
  vae: "VAELoader",
  controlnet: "ControlNetLoader",
  diffusion_models: "UNETLoader",
  text_encoders: "CLIPLoader",
  clip_vision: "CLIPVisionLoader",
  upscale_models: "UpscaleModelLoader",
};

/** The field of a node type that lists the folder's files; undefined: it has none. */
export const fieldFor = (def: NodeDef | undefined, folder: string): string | undefined =>
  def?.inputs.find((input) => input.modelFolder === folder)?.name;

/** The node type and its field for the files of a folder; null: no node loads them. */
export function loaderOf(catalogue: Catalogue, folder: string): { def: NodeDef; field: string } | null {
  const usual = catalogue.get(USUAL[folder] ?? "");
  const all = [...(usual ? [usual] : []), ...[...catalogue.values()].filter(({ deprecated }) => !deprecated)];
  for (const def of all) {
    const field = fieldFor(def, folder);
    if (field !== undefined) return { def, field };
  }
  return null;
}
