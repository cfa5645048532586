/** Seeds move on after a run, as their nodes say: fixed, incremented, decremented, randomized. */

import { control, widgetInputs, widgetValues, withWidget } from "../format/widgets";
import { type Doc, type GraphNode, type Level, linksById } from "../graph/document";
import { mapEveryNode } from "../graph/edits";
import type { Catalogue, InputDef } from "../graph/schema";

/** `doc` with every controlled value at its next; the same object where nothing moves. */
export const advanced = (doc: Doc, catalogue: Catalogue): Doc => mapEveryNode(doc, (node, level) => nextNode(node, level, catalogue));

function nextNode(node: GraphNode, level: Level, catalogue: Catalogue): GraphNode {
  const def = catalogue.get(node.type);
  if (!def) return node;
  let after = node;
  for (const input of widgetInputs(node, def)) {
    if (!input.controlled) continue;
    const slot = node.inputs?.find((candidate) => candidate.widget?.name === input.name);
    if (slot?.link !== null && slot?.link !== undefined && linksById(level).has(String(slot.link))) continue;
    const value = nextValue(input, widgetValues(node, def)[input.name], control(node, def, input.name));
    if (value !== undefined) after = withWidget(after, def, input.name, value);
  }
  return after;
}

const MAX_RANDOM = 2 ** 50;

/** undefined: it stays. */
export function nextValue(input: InputDef, value: unknown, mode: string): unknown {
  if (mode === "fixed") return undefined;
  if (input.choices) {
    const at = input.choices.indexOf(value);
    const count = input.choices.length;
    if (mode === "randomize") return input.choices[Math.floor(Math.random() * count)];
    return input.choices[Math.min(count - 1, Math.max(0, at + (mode === "increment" ? 1 : -1)))];
  }
  const least = Number(input.min ?? 0);
  const most = Math.min(Number(input.max ?? MAX_RANDOM), MAX_RANDOM);
  if (mode === "randomize") return least + Math.floor(Math.random() * (most - least + 1));
  const next = BigInt(value as number) + (mode === "increment" ? 1n : -1n);
  if (next < BigInt(least) || next > BigInt(input.max ?? MAX_RANDOM)) return undefined;
  return next <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(next) : next;
}
