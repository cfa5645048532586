/** How a bypassed node passes data through. */

import { fits, type GraphNode } from "./document";
import type { Catalogue } from "./schema";

/** The input that a bypassed node passes on: the one with the same index if its type matches, else the first match. */
export function bypass(node: GraphNode, slot: number, wanted: string, catalogue: Catalogue): number | undefined {
  const types = (node.inputs ?? []).map((input) => slotType(input.type));
  const declared = node.outputs?.[slot] ?? catalogue.get(node.type)?.outputs[slot];
  let given = slotType(declared?.type);
  if (given === "*") given = wanted;
  if (slot < types.length && fits(types[slot] as string, given)) return slot;
  const same = types.indexOf(given);
  const index = same >= 0 ? same : types.findIndex((type) => fits(type, given));
  return index < 0 ? undefined : index;
}

const slotType = (type: unknown): string =>
  Array.isArray(type) ? "COMBO" : typeof type === "string" && type ? type : "*";
