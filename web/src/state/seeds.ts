/** Seeds move on after a run, as their nodes say: fixed, incremented, decremented, randomized. */

import { type Doc, type GraphNode, type Level, linksById, type Subgraph, subgraphs } from "../document/document";
import { mapEveryNode } from "../document/edits";
import { type GroupPlan, groupPlan } from "../document/group_nodes";
import { OWN, shown, sourceOf } from "../document/lifting";
import type { Catalogue, InputDef } from "../document/schema";
import { control, primitiveControl, widgetInputs, widgetValues, withWidget } from "../document/widget_values";
import { primitiveTarget } from "../document/widget_views";

/** `doc` with every controlled value at its next; the same object where nothing moves. */
export const advanced = (doc: Doc, catalogue: Catalogue): Doc =>
  mapEveryNode(doc, (node, level) => {
    const definition = subgraphs(doc).get(node.type);
    if (definition) return nextHolder(node, definition, doc, catalogue);
    const group = groupPlan(node.type, { doc, catalogue });
    if (group) return nextGroup(node, group);
    return node.type === "PrimitiveNode" ? nextPrimitive(node, doc, catalogue) : nextNode(node, level, catalogue);
  });

function nextGroup(node: GraphNode, { fields }: GroupPlan): GraphNode {
  const values = node.widgets_values;
  if (!Array.isArray(values)) return node;
  let after = values;
  for (const { input, at, companion } of fields) {
    const mode = companion === undefined ? undefined : values[companion];
    const next = input.controlled && typeof mode === "string" ? nextValue(input, values[at], mode) : undefined;
    if (next !== undefined) after = after.with(at, next);
  }
  return after === values ? node : { ...node, widgets_values: after };
}

/** Seeds that a subgraph's node sets for nodes inside it go on as it says, else as those nodes do. */
function nextHolder(holder: GraphNode, definition: Subgraph, doc: Doc, catalogue: Catalogue): GraphNode {
  const values = holder.widgets_values;
  if (!Array.isArray(values)) return holder;
  const entries = shown(holder);
  let after = values;
  entries.forEach(({ inner, name, value }, index) => {
    const source = value === null || inner === OWN ? null : sourceOf(doc, definition, inner, name);
    const def = source && catalogue.get(source.node.type);
    const input = def?.inputs.find((candidate) => candidate.name === source?.name);
    if (!source || !def || !input?.controlled) return;
    const own = entries.find((entry) => entry.inner === inner && entry.name === "control_after_generate")?.value;
    const next = nextValue(input, value, typeof own === "string" ? own : control(source.node, def, source.name));
    if (next !== undefined) after = after.with(index, next);
  });
  return after === values ? holder : { ...holder, widgets_values: after };
}

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

/** A primitive goes on within what the input that it feeds allows. */
function nextPrimitive(node: GraphNode, doc: Doc, catalogue: Catalogue): GraphNode {
  const mode = primitiveControl(node);
  const values = node.widgets_values;
  const input = mode === undefined || mode === "fixed" ? null : primitiveTarget(node, { doc, catalogue });
  if (mode === undefined || !input || !Array.isArray(values)) return node;
  const next = nextValue(input, values[0], mode);
  return next === undefined ? node : { ...node, widgets_values: values.with(0, next) };
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
  if (input.type === "FLOAT") return nextFraction(input, Number(value), mode);
  if (input.type !== "INT") return undefined;
  const least = Number(input.min ?? 0);
  const most = Math.min(Number(input.max ?? MAX_RANDOM), MAX_RANDOM);
  const step = Math.max(1, Math.round(input.step ?? 1));
  if (mode === "randomize") return least + step * Math.floor(Math.random() * (Math.floor((most - least) / step) + 1));
  const next = BigInt(value as number) + BigInt(mode === "increment" ? step : -step);
  if (next < BigInt(least) || next > BigInt(input.max ?? MAX_RANDOM)) return undefined;
  return next <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(next) : next;
}

/** A fraction goes by its steps. */
function nextFraction(input: InputDef, value: number, mode: string): number | undefined {
  const step = input.step || 1;
  const least = Number(input.min ?? 0);
  const most = Number(input.max ?? 1);
  const exact = (number: number) => Number(number.toPrecision(12)); // 0.1 + 0.2
  if (mode === "randomize") return exact(least + step * Math.floor(Math.random() * ((most - least) / step + 1)));
  const next = exact(value + (mode === "increment" ? step : -step));
  return next < least || next > most ? undefined : next;
}
