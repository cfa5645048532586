/**
 * Which widget each entry of `widgets_values` belongs to.
 *
 * The list holds values without names, in the order of the node's widgets. Some widgets bring a companion
 * that has an entry but is no input: what a seed does after each run, an image's upload button.
 */

import type { GraphNode } from "./document";
import { firstValue, type InputDef, type NodeDef } from "./schema";

export const CONTROLS = ["fixed", "increment", "decrement", "randomize"] as const;
export type Control = (typeof CONTROLS)[number];
const CONTROL_VALUES: ReadonlySet<unknown> = new Set([...CONTROLS, "increment-wrap"]);

/** The inputs that have a widget, required ones first. */
export function widgetInputs(node: GraphNode, def: NodeDef): InputDef[] {
  const ordered = [...def.inputs.filter((input) => input.required), ...def.inputs.filter((input) => !input.required)];
  const listed = new Set(node.inputs?.flatMap((slot) => (slot.widget ? [slot.widget.name] : [])));
  const certain = ordered.filter((input) => input.widget !== null);
  // A file that lists every widget as a slot also tells which inputs of a pack's own types have one.
  if (certain.every((input) => listed.has(input.name))) return ordered.filter((input) => listed.has(input.name));
  return certain;
}

export interface Entry {
  input: InputDef;
  /** Where its value is in the list; undefined: the list is too short. */
  at?: number;
  /** Where its companion is. */
  companion?: number;
}

/** The entries of a node's list of values. */
export function entries(node: GraphNode, def: NodeDef): Entry[] {
  const widgets = widgetInputs(node, def);
  const values = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  let at = 0;
  return widgets.map((input, index) => {
    if (at >= values.length) return { input };
    const entry: Entry = { input, at };
    at += 1;
    const later = widgets.length - index - 1;
    const spare = values.length - at > later;
    if (at < values.length && isCompanion(values[at], input, widgets[index + 1], spare)) {
      entry.companion = at;
      at += 1;
      // A choice's control comes with a filter, one more text.
      if (input.type === "COMBO" && input.controlled && values.length - at > later) at += 1;
    }
    return entry;
  });
}

function isCompanion(value: unknown, of: InputDef, follows: InputDef | undefined, spare: boolean): boolean {
  let expected: boolean;
  if (of.controlled) {
    // Files of early 2023 have true or false here.
    const old = typeof value === "boolean" && follows?.type !== "BOOLEAN";
    expected = old || CONTROL_VALUES.has(value);
  } else {
    expected = of.upload !== undefined && value === of.upload;
  }
  return expected && (spare || follows === undefined || !follows.choices?.includes(value));
}

/** The values of a node's widgets by name, defaults where the file has none. */
export function widgetValues(node: GraphNode, def: NodeDef | undefined): Record<string, unknown> {
  if (def === undefined) return valuesOfUnknown(node);
  const named: Record<string, unknown> = {};
  const values = node.widgets_values;
  if (values && !Array.isArray(values)) {
    const names = new Set(def.inputs.map((input) => input.name));
    for (const [name, value] of Object.entries(values)) if (names.has(name) && value !== null) named[name] = value;
  } else {
    for (const { input, at } of entries(node, def)) {
      const value = at === undefined ? undefined : values?.[at];
      if (value !== undefined && value !== null) named[input.name] = value;
    }
  }
  for (const input of widgetInputs(node, def)) {
    if (input.name in named) continue;
    const value = firstValue(input);
    if (value !== undefined) named[input.name] = value;
  }
  return named;
}

/** Of a class that nobody knows: only what the file names itself. */
function valuesOfUnknown(node: GraphNode): Record<string, unknown> {
  const values = node.widgets_values ?? [];
  const sound = (named: [string, unknown][]) => Object.fromEntries(named.filter(([, value]) => value !== null));
  if (!Array.isArray(values)) return sound(Object.entries(values));
  const slots = (node.inputs ?? []).filter((slot) => slot.widget);
  const named: [string, unknown][] = [];
  let at = 0;
  for (const [index, slot] of slots.entries()) {
    if (at >= values.length) return {};
    named.push([slot.widget?.name || slot.name, values[at]]);
    at += 1;
    if (values.length - at > slots.length - index - 1 && CONTROL_VALUES.has(values[at])) at += 1;
  }
  // Entries left over: the file does not name all widgets, so nothing says which is which.
  return at === values.length ? sound(named) : {};
}

/** The whole list for a new node. */
export function newValues(def: NodeDef): unknown[] {
  return def.inputs
    .toSorted((first, second) => Number(second.required) - Number(first.required))
    .filter((input) => input.widget !== null)
    .flatMap((input) => [firstValue(input) ?? null, ...companion(input)]);
}

function companion(input: InputDef): unknown[] {
  if (input.controlled) return ["randomize"];
  return input.upload ? [input.upload] : [];
}

/** The node with one widget's value changed. */
export function withWidget(node: GraphNode, def: NodeDef, name: string, value: unknown): GraphNode {
  return withValue(node, def, name, value, "at");
}

/** What a seed does after each run. */
export function control(node: GraphNode, def: NodeDef, name: string): Control {
  const entry = entries(node, def).find((candidate) => candidate.input.name === name);
  const value = entry?.companion === undefined ? undefined : (node.widgets_values as unknown[])[entry.companion];
  if (value === true) return "randomize"; // files of early 2023
  return CONTROLS.includes(value as Control) ? (value as Control) : "fixed";
}

/** What a primitive's value does after each run: the entry after it. undefined: it has none, as texts and switches. */
export function primitiveControl(node: GraphNode): Control | undefined {
  const mode = Array.isArray(node.widgets_values) ? node.widgets_values[1] : undefined;
  return CONTROLS.find((known) => known === mode);
}

export const withPrimitiveControl = (node: GraphNode, value: Control): GraphNode =>
  Array.isArray(node.widgets_values) ? { ...node, widgets_values: node.widgets_values.with(1, value) } : node;

export function withControl(node: GraphNode, def: NodeDef, name: string, value: Control): GraphNode {
  return withValue(node, def, name, value, "companion");
}

function withValue(node: GraphNode, def: NodeDef, name: string, value: unknown, place: "at" | "companion"): GraphNode {
  const values = node.widgets_values;
  if (values && !Array.isArray(values)) {
    return place === "at" ? { ...node, widgets_values: { ...values, [name]: value } } : node;
  }
  let listed = values ?? [];
  let index = entries(node, def).find((entry) => entry.input.name === name)?.[place];
  if (index === undefined) {
    listed = completed(node, def);
    index = entries({ ...node, widgets_values: listed }, def).find((entry) => entry.input.name === name)?.[place];
  }
  return index === undefined ? node : { ...node, widgets_values: listed.with(index, value) };
}

/** The list with what it lacks filled in, companions too. */
function completed(node: GraphNode, def: NodeDef): unknown[] {
  const values = (node.widgets_values as unknown[] | undefined) ?? [];
  return entries(node, def).flatMap(({ input, at, companion: beside }) => {
    const own = at === undefined ? (firstValue(input) ?? null) : values[at];
    const extra =
      beside !== undefined ? [values[beside]] : input.controlled ? ["fixed"] : input.upload ? [input.upload] : [];
    return [own, ...extra];
  });
}
