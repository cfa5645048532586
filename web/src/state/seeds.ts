/** Changes seeds between runs, as their nodes are set: fixed, incremented, decremented, randomized. */

import { type Doc, type GraphNode, type Level, linksById, type Subgraph, subgraphs } from "../document/document";
import { mapEveryNode } from "../document/edits";
import { type GroupPlan, groupPlan, placedFields } from "../document/group_nodes";
import { OWN, shown, sourceOf } from "../document/lifting";
import type { Catalogue, InputDef } from "../document/schema";
import {
  control,
  primitiveControl,
  shownInputs,
  widgetInputs,
  widgetValues,
  withWidget,
} from "../document/widget_values";
import { primitiveTarget } from "../document/widget_views";

/** The values that a run was sent with, by `placeOf`. */
export type SentValues = Readonly<Record<string, string>>;

/** Decides the next value of a controlled field; undefined: it stays. */
type Next = (place: string, input: InputDef, value: unknown, mode: string) => unknown;

/**
 * `doc` with every controlled value advanced; the same object if nothing changes. With `sent`, only the values of that
 * run advance: a value that has not run yet, such as a typed seed, stays.
 */
export const advanced = (doc: Doc, catalogue: Catalogue, sent?: SentValues): Doc =>
  changed(doc, catalogue, (place, input, value, mode) =>
    sent === undefined || sent[place] === String(value) ? nextValue(input, value, mode) : undefined,
  );

/** The controlled values of a document, as a run is sent with them. */
export function valuesSent(doc: Doc, catalogue: Catalogue): SentValues {
  const found: Record<string, string> = {};
  changed(doc, catalogue, (place, _, value) => {
    found[place] = String(value);
    return undefined;
  });
  return found;
}

/** `doc` with every seed drawn again, whatever its control says; the same object if it has no seeds. */
export const reseeded = (doc: Doc, catalogue: Catalogue): Doc =>
  changed(doc, catalogue, (_, input, value) =>
    input.type === "INT" && /seed/i.test(input.name) ? nextValue(input, value, "randomize") : undefined,
  );

const changed = (doc: Doc, catalogue: Catalogue, next: Next): Doc =>
  mapEveryNode(doc, (node, level) => {
    const definition = subgraphs(doc).get(node.type);
    const at = placeOf(level, node);
    if (definition) return nextHolder(node, definition, doc, catalogue, at, next);
    const group = groupPlan(node.type, { doc, catalogue });
    if (group) return nextGroup(node, group, at, next);
    return node.type === "PrimitiveNode"
      ? nextPrimitive(node, doc, catalogue, at, next)
      : nextNode(node, level, catalogue, at, next);
  });

const placeOf = (level: Level, node: GraphNode): string => `${(level as Partial<Subgraph>).id ?? ""}/${node.id}`;

function nextGroup(node: GraphNode, plan: GroupPlan, place: string, decide: Next): GraphNode {
  const values = node.widgets_values;
  if (!Array.isArray(values)) return node;
  let after = values;
  for (const { input, at, companion } of placedFields(node, plan)) {
    const mode = companion === undefined ? undefined : values[companion];
    if (at === undefined) continue;
    const next =
      input.controlled && typeof mode === "string" ? decide(`${place}/${at}`, input, values[at], mode) : undefined;
    if (next !== undefined) after = after.with(at, next);
  }
  return after === values ? node : { ...node, widgets_values: after };
}

/** Seeds that a subgraph's node sets for inner nodes follow its control, or else the inner node's. */
function nextHolder(
  holder: GraphNode,
  definition: Subgraph,
  doc: Doc,
  catalogue: Catalogue,
  place: string,
  decide: Next,
): GraphNode {
  const values = holder.widgets_values;
  if (!Array.isArray(values)) return holder;
  const entries = shown(holder);
  let after = values;
  entries.forEach(({ inner, name, value }, index) => {
    const linked = inner === OWN && (holder.inputs?.find((slot) => slot.name === name)?.link ?? null) !== null;
    const source = value === null || linked ? null : sourceOf(doc, definition, inner, name);
    const def = source && catalogue.get(source.node.type);
    const input = source && def && shownInputs(source.node, def).find((candidate) => candidate.name === source.name);
    if (!source || !def || !input?.controlled) return;
    const own = entries.find((entry) => entry.inner === inner && entry.name === "control_after_generate")?.value;
    const mode = typeof own === "string" ? own : control(source.node, def, source.name);
    const next = decide(`${place}/${index}`, input, value, mode);
    if (next !== undefined) after = after.with(index, next);
  });
  return after === values ? holder : { ...holder, widgets_values: after };
}

function nextNode(node: GraphNode, level: Level, catalogue: Catalogue, place: string, decide: Next): GraphNode {
  const def = catalogue.get(node.type);
  if (!def) return node;
  let after = node;
  for (const input of widgetInputs(node, def)) {
    if (!input.controlled) continue;
    const slot = node.inputs?.find((candidate) => candidate.widget?.name === input.name);
    if (slot?.link !== null && slot?.link !== undefined && linksById(level).has(String(slot.link))) continue;
    const mode = control(node, def, input.name);
    const value = decide(`${place}/${input.name}`, input, widgetValues(node, def)[input.name], mode);
    if (value !== undefined) after = withWidget(after, def, input.name, value);
  }
  return after;
}

/** A primitive stays within the bounds of the input that it feeds. */
function nextPrimitive(node: GraphNode, doc: Doc, catalogue: Catalogue, place: string, decide: Next): GraphNode {
  const mode = primitiveControl(node);
  const values = node.widgets_values;
  const input = mode === undefined ? null : primitiveTarget(node, { doc, catalogue });
  if (mode === undefined || !input || !Array.isArray(values)) return node;
  const next = decide(place, input, values[0], mode);
  return next === undefined ? node : { ...node, widgets_values: values.with(0, next) };
}

const MAX_RANDOM = 2 ** 50;

/** undefined: the value stays. */
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

/** A fraction changes by its step. */
function nextFraction(input: InputDef, value: number, mode: string): number | undefined {
  const step = input.step || 1;
  const least = Number(input.min ?? 0);
  const most = Number(input.max ?? 1);
  const exact = (number: number) => Number(number.toPrecision(12)); // 0.1 + 0.2
  if (mode === "randomize") return exact(least + step * Math.floor(Math.random() * ((most - least) / step + 1)));
  const next = exact(value + (mode === "increment" ? step : -step));
  return next < least || next > most ? undefined : next;
}
