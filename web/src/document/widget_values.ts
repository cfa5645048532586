/**
 * Finds the widget that each entry of `widgets_values` belongs to.
 *
 * The list holds values without names, in the order of the node's widgets. Some widgets have a companion with an
 * entry but without an input: what a seed does after each run, an image's upload button.
 */

import { customIndex, customInputs, isCustomCombo, withCustomValue } from "./custom_combo";
import type { GraphNode } from "./document";
import { firstChosen, grownMembers, isDynamic, requiredFirst, withChosen } from "./dynamic_inputs";
import { firstValue, type InputDef, type NodeDef } from "./schema";

export const CONTROLS = ["fixed", "increment", "decrement", "randomize"] as const;
export type Control = (typeof CONTROLS)[number];
const CONTROL_VALUES: ReadonlySet<unknown> = new Set([...CONTROLS, "increment-wrap"]);

/** The inputs that have a widget, required ones first. The inputs of a chosen option follow the choice. */
export const widgetInputs = (node: GraphNode, def: NodeDef): InputDef[] => widgetsAmong(chosenInputs(node, def), node);

const chosenOf = new WeakMap<GraphNode, { def: NodeDef; inputs: InputDef[] }>();

/** The inputs that a node has with its choices, required ones first. Growing inputs are one entry each. */
export function chosenInputs(node: GraphNode, def: NodeDef): InputDef[] {
  if (isCustomCombo(def)) return customInputs(node, def);
  if (!isDynamic(def)) return requiredFirst(def.inputs);
  const cached = chosenOf.get(node);
  if (cached?.def === def) return cached.inputs;
  const chosen = new Map<string, unknown>();
  for (;;) {
    const inputs = withChosen(def.inputs, ({ name }) => chosen.get(name));
    const open = inputs.find(({ name, options }) => options && !chosen.has(name));
    if (!open) {
      chosenOf.set(node, { def, inputs });
      return inputs;
    }
    // The entries before a choice do not depend on it.
    const values = node.widgets_values;
    const at = entriesOf(node, widgetsAmong(inputs, node)).find(({ input }) => input.name === open.name)?.at;
    chosen.set(
      open.name,
      (Array.isArray(values) ? (at === undefined ? null : values[at]) : values?.[open.name]) ?? firstValue(open),
    );
  }
}

/** The inputs of a node with every socket that it shows. */
export const shownInputs = (node: GraphNode, def: NodeDef): InputDef[] =>
  chosenInputs(node, def).flatMap((input) => (input.grows ? grownMembers(input, node) : [input]));

function widgetsAmong(ordered: InputDef[], node: GraphNode): InputDef[] {
  const listed = new Set(node.inputs?.flatMap((slot) => (slot.widget ? [slot.widget.name] : [])));
  const certain = ordered.filter((input) => input.widget !== null);
  // In a file that lists every widget as a slot, the slots also show which inputs of a pack's own types have one.
  if (certain.every((input) => listed.has(input.name))) return ordered.filter((input) => listed.has(input.name));
  return certain;
}

export interface Entry {
  input: InputDef;
  /** Index of its value in the list; undefined: the list is too short. */
  at?: number;
  /** Index of its companion. */
  companion?: number;
}

/** The entries of a node's list of values. */
export const entries = (node: GraphNode, def: NodeDef): Entry[] => entriesOf(node, widgetInputs(node, def));

/** The entries of a list of values that holds exactly these widgets. */
export function entriesOf(node: GraphNode, widgets: InputDef[]): Entry[] {
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
      // The control of a choice comes with a filter, which is one more text entry.
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

/** The values of a node's widgets by name, with defaults where the file has none. */
export function widgetValues(node: GraphNode, def: NodeDef | undefined): Record<string, unknown> {
  if (def === undefined) return valuesOfUnknown(node);
  const named: Record<string, unknown> = {};
  const values = node.widgets_values;
  if (values && !Array.isArray(values)) {
    const names = new Set(chosenInputs(node, def).map((input) => input.name));
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
  if (isCustomCombo(def)) named.index = customIndex(node, named.choice);
  return named;
}

/** For an unknown class: only the values that the file names itself. */
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
  // Some entries are left over. The file does not name all widgets, so they cannot be assigned.
  return at === values.length ? sound(named) : {};
}

/** The whole list for a new node. */
export function newValues(def: NodeDef): unknown[] {
  return firstChosen(def)
    .filter((input) => input.widget !== null)
    .flatMap((input) => [firstValue(input) ?? null, ...companion(input)]);
}

function companion(input: InputDef): unknown[] {
  if (input.controlled) return ["randomize"];
  return input.upload ? [input.upload] : [];
}

/** The node with one widget's value changed. */
export function withWidget(node: GraphNode, def: NodeDef, name: string, value: unknown): GraphNode {
  if (isCustomCombo(def)) return withCustomValue(node, name, value);
  const choice = chosenInputs(node, def).find((input) => input.name === name && input.options);
  return choice ? withChoice(node, def, name, value) : withValue(node, def, name, value, "at");
}

/** Fields that both options have keep their values; the others start with their defaults. */
function withChoice(node: GraphNode, def: NodeDef, name: string, value: unknown): GraphNode {
  const given = node.widgets_values;
  if (given && !Array.isArray(given)) return { ...node, widgets_values: { ...given, [name]: value } };
  const before = entries(node, def);
  const used = before.reduce((end, { at, companion }) => Math.max(end, (companion ?? at ?? -1) + 1), 0);
  const named: Record<string, unknown> = { ...widgetValues(node, def), [name]: value };
  const inputs = withChosen(def.inputs, (choice) => {
    const own = named[choice.name];
    return choice.name === name || choice.choices?.includes(own) ? own : firstValue(choice);
  });
  const listed = inputs
    .filter((input) => input.widget !== null || before.some((entry) => entry.input.name === input.name))
    .flatMap((input) => {
      const old = before.find((entry) => entry.input.name === input.name);
      const own = input.name === name || (old && takes(input, named[input.name]));
      const extra = old?.companion === undefined ? companion(input) : [given?.[old.companion]];
      return [own ? named[input.name] : (firstValue(input) ?? null), ...extra];
    });
  return { ...node, widgets_values: [...listed, ...(given ?? []).slice(used)] };
}

function takes(input: InputDef, value: unknown): boolean {
  if (value === undefined) return false;
  if (input.choices) return input.choices.includes(value);
  if (input.type !== "INT" && input.type !== "FLOAT") return true;
  return Number(value) >= Number(input.min ?? -Infinity) && Number(value) <= Number(input.max ?? Infinity);
}

/** What a seed does after each run. */
export function control(node: GraphNode, def: NodeDef, name: string): Control {
  const entry = entries(node, def).find((candidate) => candidate.input.name === name);
  const value = entry?.companion === undefined ? undefined : (node.widgets_values as unknown[])[entry.companion];
  if (value === true) return "randomize"; // files of early 2023
  return CONTROLS.includes(value as Control) ? (value as Control) : "fixed";
}

/** What a primitive's value does after each run: the entry after the value. undefined: texts and switches have none. */
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

/** The list with missing entries filled in, including companions. */
function completed(node: GraphNode, def: NodeDef): unknown[] {
  const values = (node.widgets_values as unknown[] | undefined) ?? [];
  return entries(node, def).flatMap(({ input, at, companion: beside }) => {
    const own = at === undefined ? (firstValue(input) ?? null) : values[at];
    const extra =
      beside !== undefined ? [values[beside]] : input.controlled ? ["fixed"] : input.upload ? [input.upload] : [];
    return [own, ...extra];
  });
}
