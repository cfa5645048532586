/** Extracts from a prompt how a picture was made. */

import type { ApiWorkflow } from "./api";

export interface Facts {
  /** The prompt texts: each node's title and its text. */
  texts: { title: string; text: string }[];
  /** Seeds, steps, models …, by the name of the input. */
  values: { name: string; value: string }[];
}

const WORDS = new Set([
  "text",
  "prompt",
  "string",
  "positive",
  "negative",
  "text_g",
  "text_l",
  "clip_l",
  "t5xxl",
  "value",
]);
const VALUES = [
  "ckpt_name",
  "unet_name",
  "lora_name",
  "seed",
  "noise_seed",
  "steps",
  "cfg",
  "sampler_name",
  "scheduler",
  "denoise",
  "width",
  "height",
];

export function pictureFacts(prompt: ApiWorkflow): Facts {
  const texts: Facts["texts"] = [];
  const values: Facts["values"] = [];
  for (const node of Object.values(prompt)) {
    const title = node._meta?.title || node.class_type;
    for (const [name, value] of Object.entries(node.inputs ?? {})) {
      if (
        typeof value === "string" &&
        WORDS.has(name) &&
        value.trim() &&
        !texts.some((known) => known.text === value)
      ) {
        texts.push({ title, text: value });
      }
    }
  }
  for (const name of VALUES) {
    for (const node of Object.values(prompt)) {
      const value: unknown = node.inputs?.[name];
      if (!["string", "number", "bigint"].includes(typeof value)) continue;
      if (!values.some((known) => known.name === name && known.value === String(value)))
        values.push({ name, value: String(value) });
    }
  }
  return { texts, values };
}
