/** The workflows in `workflows/`, each with a picture it makes. */

import type { Doc } from "../document/document";
import { t } from "../i18n";
import { openTab } from "../state/editor";

const DOCUMENTS = import.meta.glob<{ default: Doc }>("../../../workflows/*.json");
const PICTURES = import.meta.glob<string>("../../../workflows/*.webp", {
  eager: true,
  query: "?url",
  import: "default",
});

/** In the order in which to learn from them. */
const NAMES = [
  "text_to_image",
  "image_to_image",
  "inpaint",
  "latent_upscale",
  "two_areas",
  "samplers_side_by_side",
  "custom_sampling",
] as const;
export type Example = (typeof NAMES)[number];

/** Examples that the start page does not list: the help opens them. */
const OTHERS = [
  "controlnet",
  "lcm",
  "lora",
  "merging",
  "sdxl_base_and_refiner",
  "textual_inversion",
  "train_lcm",
  "train_tiny",
  "two_loras",
  "unclip",
  "upscale_model",
] as const;

export const EXAMPLES = NAMES.map((name) => ({ name, picture: PICTURES[`../../../workflows/${name}.webp`] ?? "" }));

/** An example's title in the editor's language; that of its file if it has none. */
export function exampleTitle(name: string): string {
  const words = name.replaceAll("_", " ");
  const titled = [...NAMES, ...OTHERS].find((known) => known === name);
  return titled ? t(`example.${titled}`) : words[0]?.toUpperCase() + words.slice(1);
}

/** The picture of any workflow in `workflows/`; undefined: it makes none. */
export const examplePicture = (name: string): string | undefined => PICTURES[`../../../workflows/${name}.webp`];

export async function openExample(name: string): Promise<void> {
  const document = DOCUMENTS[`../../../workflows/${name}.json`];
  if (document) openTab(exampleTitle(name), (await document()).default);
}
