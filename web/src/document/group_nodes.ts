/**
 * Group nodes: `workflow/NAME` or `workflow>NAME`, older than subgraphs, defined in `extra.groupNodes`.
 *
 * A group node shows the sockets and fields of its inner nodes in their order, without those that are linked inside or
 * hidden. A name that is already used gets the inner node's title as a prefix. The node's list of values holds the
 * values of the fields in the same order; a companion may follow each.
 */

import type { Doc, GraphNode } from "./document";
import type { Catalogue, InputDef, NodeDef } from "./schema";
import { entries, entriesOf, shownInputs, widgetValues } from "./widget_values";

interface Shown {
  name?: string;
  visible?: boolean;
}

export interface GroupDefinition {
  nodes: GraphNode[];
  /** [origin index, output, target index, input, …] */
  links: (number | string | null)[][];
  /** Outputs shown although they are also linked inside: [node index, output, …]. */
  external?: (number | string)[][];
  config?: Record<string, { input?: Record<string, Shown>; output?: Record<string, Shown> }>;
}

/** A socket of a group node and the inner node it belongs to: node index, and input name or output index. */
export interface GroupSocket<Slot> {
  name: string;
  type: string;
  inner: number;
  slot: Slot;
}

export interface GroupField extends GroupSocket<string> {
  input: InputDef;
  /** The value in the definition. */
  value: unknown;
  /** A value for what happens after each run follows in new lists. */
  controlled: boolean;
}

/** A field of a placed group node. */
export interface PlacedField extends GroupField {
  /** The node's own value; undefined: the definition's value counts. */
  given?: unknown;
  /** Indices in the node's list of values; undefined: the list is too short. */
  at?: number;
  companion?: number;
}

export interface GroupPlan {
  title: string;
  definition: GroupDefinition;
  inputs: GroupSocket<string>[];
  outputs: GroupSocket<number>[];
  fields: GroupField[];
}

const GROUP_TYPE = /^workflow[/>](.+)$/s;

export const groupName = (type: string): string | null => GROUP_TYPE.exec(type)?.[1] ?? null;

function definitionOf(type: string, doc: Doc): GroupDefinition | null {
  const name = groupName(type);
  const groups = name === null ? undefined : (doc.extra?.groupNodes as Record<string, unknown> | undefined);
  const found = groups && Object.hasOwn(groups, name as string) ? (groups[name as string] as GroupDefinition) : null;
  return Array.isArray(found?.nodes) ? found : null;
}

/** The number of inner nodes of a group node; null for other nodes. */
export const groupNodesIn = (doc: Doc, type: string): number | null => definitionOf(type, doc)?.nodes.length ?? null;

const plans = new WeakMap<Catalogue, WeakMap<GroupDefinition, GroupPlan>>();

/** The plan of a group node's type; null if the type is not a group node or its definition is missing. */
export function groupPlan(type: string, { doc, catalogue }: { doc: Doc; catalogue: Catalogue }): GroupPlan | null {
  const definition = definitionOf(type, doc);
  if (!definition) return null;
  const known = plans.get(catalogue) ?? new WeakMap<GroupDefinition, GroupPlan>();
  plans.set(catalogue, known);
  let plan = known.get(definition);
  if (!plan) {
    plan = planned(groupName(type) as string, definition, doc, catalogue, new Set());
    known.set(definition, plan);
  }
  return plan;
}

/** The fields with the values of a placed group node: a list, with or without companions, or an object by name. */
export function placedFields(node: GraphNode, { fields }: GroupPlan): PlacedField[] {
  const values = node.widgets_values;
  if (values && !Array.isArray(values))
    return fields.map((field) => ({
      ...field,
      given: Object.hasOwn(values, field.name) ? values[field.name] : undefined,
    }));
  const inputs = fields.map(({ input }) => input);
  return entriesOf(node, inputs).map(({ at, companion }, index) => ({
    ...(fields[index] as GroupField),
    ...(at !== undefined && { at, given: values?.[at] }),
    ...(companion !== undefined && { companion }),
  }));
}

/** The group node with one field's value changed. */
export function withGroupField(
  node: GraphNode,
  plan: GroupPlan,
  inner: number,
  slot: string,
  value: unknown,
): GraphNode {
  const placed = placedFields(node, plan);
  const index = placed.findIndex((field) => field.inner === inner && field.slot === slot);
  const field = placed[index];
  const values = node.widgets_values;
  if (!field) return node;
  if (values && !Array.isArray(values)) return { ...node, widgets_values: { ...values, [field.name]: value } };
  if (values && field.at !== undefined) return { ...node, widgets_values: values.with(field.at, value) };
  const listed = placed.flatMap((own, place) => {
    const companion = own.companion === undefined ? "fixed" : values?.[own.companion];
    const one = place === index ? value : (own.given ?? own.value ?? null);
    return own.companion !== undefined || (own.at === undefined && own.controlled) ? [one, companion] : [one];
  });
  return { ...node, widgets_values: listed };
}

/** Sockets, fields and outputs of an inner node. */
interface Parts {
  sockets: { name: string; type: string }[];
  fields: { input: InputDef; value: unknown; controlled: boolean }[];
  outputs: { name: string; type: string }[];
}

function planned(
  title: string,
  definition: GroupDefinition,
  doc: Doc,
  catalogue: Catalogue,
  within: Set<unknown>,
): GroupPlan {
  const plan: GroupPlan = { title, definition, inputs: [], outputs: [], fields: [] };
  const links = definition.links ?? [];
  const used = new Map<string, number>();
  const usedOutputs = new Map<string, number>();
  definition.nodes.forEach((node, inner) => {
    const parts = partsOf(node, doc, catalogue, new Set([...within, definition]));
    const settings = definition.config?.[String(inner)];
    const fed = new Set(
      links.flatMap((link) => (Number(link[2]) === inner ? [node.inputs?.[Number(link[3])]?.name] : [])),
    );
    const open = (name: string) => !fed.has(name) && settings?.input?.[name]?.visible !== false;
    for (const { input, value, controlled } of parts.fields.filter((field) => open(field.input.name))) {
      const name = free(used, node, settings?.input?.[input.name]?.name ?? input.name);
      plan.fields.push({ name, type: input.type, inner, slot: input.name, input, value, controlled });
    }
    for (const { name, type } of parts.sockets.filter((socket) => open(socket.name)))
      plan.inputs.push({ name: free(used, node, settings?.input?.[name]?.name ?? name), type, inner, slot: name });
    parts.outputs.forEach(({ name, type }, slot) => {
      const linked = links.some((link) => Number(link[0]) === inner && Number(link[1]) === slot);
      const external = definition.external?.some(
        ([index, output]) => Number(index) === inner && Number(output) === slot,
      );
      const own = settings?.output?.[String(slot)];
      if (!(own?.visible ?? (!linked || external))) return;
      plan.outputs.push({ name: free(usedOutputs, node, own?.name ?? name), type, inner, slot });
    });
  });
  return plan;
}

function free(used: Map<string, number>, node: GraphNode, name: string): string {
  let found = name;
  if (used.has(found)) found = `${node.title || node.type} ${name}`;
  if (used.has(found)) found = `${node.title || node.type} ${used.get(found)} ${name}`;
  used.set(found, (used.get(found) ?? 0) + 1);
  return found;
}

function partsOf(node: GraphNode, doc: Doc, catalogue: Catalogue, within: Set<unknown>): Parts {
  const definition = definitionOf(node.type, doc);
  if (definition && !within.has(definition)) {
    const plan = planned(node.type, definition, doc, catalogue, within);
    return {
      sockets: plan.inputs,
      outputs: plan.outputs,
      fields: placedFields(node, plan).map(({ name, input, value, given, controlled }) => ({
        input: { ...input, name },
        value: given ?? value,
        controlled,
      })),
    };
  }
  const def = catalogue.get(node.type);
  return def ? partsOfClass(node, def) : partsAsListed(node);
}

function partsOfClass(node: GraphNode, def: NodeDef): Parts {
  const values = widgetValues(node, def);
  const listed = entries(node, def);
  const widgets = new Set(listed.map(({ input }) => input.name));
  return {
    sockets: shownInputs(node, def).filter(({ name }) => !widgets.has(name)),
    outputs: def.outputs,
    fields: listed.map(({ input, at, companion }) => ({
      input,
      value: values[input.name],
      controlled: at === undefined ? input.controlled : companion !== undefined,
    })),
  };
}

/** Entries of a primitive, or of a node whose class is not installed: the values have no names. */
function partsAsListed(node: GraphNode): Parts {
  const values = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  const type = node.type === "PrimitiveNode" ? String(node.outputs?.[0]?.type ?? "*") : "*";
  return {
    sockets: (node.inputs ?? []).filter((slot) => !slot.widget),
    outputs: node.outputs ?? [],
    fields: values.map((value, index) => ({
      input: unnamed(index ? `value ${index}` : "value", type, value),
      value,
      controlled: false,
    })),
  };
}

function unnamed(name: string, type: string, value: unknown): InputDef {
  const widget = typeof value === "number" ? "float" : typeof value === "boolean" ? "switch" : "text";
  return { name, type, required: true, widget, controlled: false, folder: "input" };
}
