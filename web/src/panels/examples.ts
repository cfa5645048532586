/** The workflows in `workflows/`, with a picture of what each makes. */

import type { Doc } from "../document/document";
import { t } from "../i18n";
import { openTab } from "../state/editor";

const DOCUMENTS = import.meta.glob<{ default: Doc }>("../../../workflows/*.json");
const PICTURES = import.meta.glob<string>("../../../workflows/*.webp", {
  eager: true,
  query: "?url",
  import: "default",
});

/** In the order in which one learns. */
const NAMES = [
  "text_to_image",
  "image_to_image",
  "inpaint",
  "latent_upscale",
  "two_areas",
  "samplers_side_by_side",
] as const;
export type Example = (typeof NAMES)[number];

export const EXAMPLES = NAMES.map((name) => ({ name, picture: PICTURES[`../../../workflows/${name}.webp`] ?? "" }));

export async function openExample(name: Example): Promise<void> {
  const document = DOCUMENTS[`../../../workflows/${name}.json`];
  if (document) openTab(t(`example.${name}`), (await document()).default);
}
