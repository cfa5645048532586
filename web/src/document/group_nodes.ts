/**
 * Group nodes: `workflow/NAME` or `workflow>NAME`, older than subgraphs, defined in `extra.groupNodes`.
 *
 * A group node shows the sockets and fields of its inner nodes in their order, without those that are linked inside or
 * hidden. A name that is already used gets the inner node's title as a prefix. The node's list of values holds the
 * values of the fields in the same order, each followed by its companion.
 */

import type { Doc, GraphNode } from "./document";
import { type Catalogue, firstValue, type InputDef, type NodeDef } from "./schema";
import { type Entry, entries } from "./widget_values";

interface Shown {
  name?: string;
  visible?: boolean;
}

export interface GroupDefinition {
  nodes: GraphNode[];
  /** [origin index, output, target index, input, …] */
  links: (number | string | null)[][];
  /** Outputs shown although they are linked inside: [node index, output, …]. */
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
  /** Places in the group node's list of values. */
  at: number;
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

/** Sockets, fields and outputs of an inner node. */
interface Parts {
  sockets: { name: string; type: string }[];
  fields: { input: InputDef; value: unknown; companion: boolean }[];
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
  const taken = new Map<string, number>();
  const takenOutputs = new Map<string, number>();
  let at = 0;
  definition.nodes.forEach((node, inner) => {
    const parts = partsOf(node, doc, catalogue, new Set([...within, definition]));
    const settings = definition.config?.[String(inner)];
    const fed = new Set(
      links.flatMap((link) => (Number(link[2]) === inner ? [node.inputs?.[Number(link[3])]?.name] : [])),
    );
    const open = (name: string) => !fed.has(name) && settings?.input?.[name]?.visible !== false;
    for (const { input, value, companion } of parts.fields.filter((field) => open(field.input.name))) {
      const name = free(taken, node, settings?.input?.[input.name]?.name ?? input.name);
      const field = { name, type: input.type, inner, slot: input.name, input, value, at };
      plan.fields.push(companion ? { ...field, companion: at + 1 } : field);
      at += companion ? 2 : 1;
    }
    for (const { name, type } of parts.sockets.filter((socket) => open(socket.name)))
      plan.inputs.push({ name: free(taken, node, settings?.input?.[name]?.name ?? name), type, inner, slot: name });
    parts.outputs.forEach(({ name, type }, slot) => {
      const linked = links.some((link) => Number(link[0]) === inner && Number(link[1]) === slot);
      const external = definition.external?.some(
        ([index, output]) => Number(index) === inner && Number(output) === slot,
      );
      const own = settings?.output?.[String(slot)];
      if (!(own?.visible ?? (!linked || external))) return;
      plan.outputs.push({ name: free(takenOutputs, node, own?.name ?? name), type, inner, slot });
    });
  });
  return plan;
}

function free(taken: Map<string, number>, node: GraphNode, name: string): string {
  let found = name;
  if (taken.has(found)) found = `${node.title || node.type} ${name}`;
  if (taken.has(found)) found = `${node.title || node.type} ${taken.get(found)} ${name}`;
  taken.set(found, (taken.get(found) ?? 0) + 1);
  return found;
}

function partsOf(node: GraphNode, doc: Doc, catalogue: Catalogue, within: Set<unknown>): Parts {
  const definition = definitionOf(node.type, doc);
  if (definition && !within.has(definition)) {
    const { inputs, outputs, fields } = planned(node.type, definition, doc, catalogue, within);
    const given = Array.isArray(node.widgets_values) ? node.widgets_values : [];
    return {
      sockets: inputs,
      outputs,
      fields: fields.map(({ name, input, value, at, companion }) => ({
        input: { ...input, name },
        value: given[at] ?? value,
        companion: companion !== undefined,
      })),
    };
  }
  const def = catalogue.get(node.type);
  return def ? partsOfClass(node, def) : partsAsListed(node);
}

function partsOfClass(node: GraphNode, def: NodeDef): Parts {
  const values = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  const listed = entries(node, def);
  const value = ({ input, at }: Entry) => (at === undefined ? firstValue(input) : (values[at] ?? firstValue(input)));
  const widgets = new Set(listed.map(({ input }) => input.name));
  return {
    sockets: def.inputs.filter(({ name }) => !widgets.has(name)),
    outputs: def.outputs,
    fields: listed.map((entry) => ({
      input: entry.input,
      value: value(entry),
      companion: entry.at === undefined ? entry.input.controlled : entry.companion !== undefined,
    })),
  };
}

/** Parts of a primitive, or of a node whose class is not installed: the values have no names. */
function partsAsListed(node: GraphNode): Parts {
  const values = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  const type = node.type === "PrimitiveNode" ? String(node.outputs?.[0]?.type ?? "*") : "*";
  return {
    sockets: (node.inputs ?? []).filter((slot) => !slot.widget),
    outputs: node.outputs ?? [],
    fields: values.map((value, index) => ({
      input: unnamed(index ? `value ${index}` : "value", type, value),
      value,
      companion: false,
    })),
  };
}

function unnamed(name: string, type: string, value: unknown): InputDef {
  const widget = typeof value === "number" ? "float" : typeof value === "boolean" ? "switch" : "text";
  return { name, type, required: true, widget, controlled: false, folder: "input" };
}
