/** The widgets a node shows, with their values: its own, or, on a subgraph, those it lifts out of its inside. */

import { type Doc, type GraphNode, linksById, NOTES, nodesById, type Subgraph, subgraphs } from "./document";
import { type GroupPlan, groupPlan } from "./group_nodes";
import { promotedNames } from "./promoted";
import { type Catalogue, firstValue, type InputDef, type NodeDef, type WidgetKind } from "./schema";
import { entries, primitiveControl, widgetValues, withWidget } from "./widget_values";

export interface WidgetView {
  /** Unique on the node; what `setWidget` takes. */
  key: string;
  input: InputDef;
  value: unknown;
  /** The input slot that stands for it; null: none yet. */
  slot: number | null;
  linked: boolean;
}

export interface Surroundings {
  doc: Doc;
  catalogue: Catalogue;
}

export function widgetViews(node: GraphNode, { doc, catalogue }: Surroundings): WidgetView[] {
  const definition = subgraphs(doc).get(node.type);
  if (definition) return promotedViews(node, definition, { doc, catalogue });
  if (NOTES.has(node.type)) return [];
  if (node.type === "PrimitiveNode") return primitiveViews(node, { doc, catalogue });
  const group = groupPlan(node.type, { doc, catalogue });
  if (group) return groupViews(node, group);
  const def = catalogue.get(node.type);
  if (!def) return [];
  const values = widgetValues(node, def);
  return entries(node, def).map(({ input }) => ({
    key: input.name,
    input,
    value: values[input.name],
    ...slotOf(node, input.name),
  }));
}

function slotOf(node: GraphNode, name: string): Pick<WidgetView, "slot" | "linked"> {
  const index = (node.inputs ?? []).findIndex((input) =>
    input.widget ? input.widget.name === name : input.name === name,
  );
  if (index < 0) return { slot: null, linked: false };
  const link = node.inputs?.[index]?.link;
  return { slot: index, linked: link !== null && link !== undefined };
}

function groupViews(node: GraphNode, { fields }: GroupPlan): WidgetView[] {
  const values = Array.isArray(node.widgets_values) ? node.widgets_values : [];
  return fields.map(({ name, inner, slot, input, value, at }) => ({
    key: `${inner}/${slot}`,
    input: { ...input, name, controlled: false },
    value: values[at] ?? value,
    ...slotOf(node, name),
  }));
}

export function setWidget(node: GraphNode, key: string, value: unknown, { doc, catalogue }: Surroundings): GraphNode {
  const definition = subgraphs(doc).get(node.type);
  const values = node.widgets_values;
  if (definition || node.type === "PrimitiveNode" || NOTES.has(node.type)) {
    if (values && !Array.isArray(values)) return { ...node, widgets_values: { ...values, [key]: value } };
    const index = definition ? promotedNames(node).findIndex(([inner, name]) => `${inner}/${name}` === key) : 0;
    const listed = [...(values ?? [])];
    while (listed.length <= index) listed.push(null);
    return { ...node, widgets_values: listed.with(index, value) };
  }
  const group = groupPlan(node.type, { doc, catalogue });
  const field = group?.fields.find(({ inner, slot }) => `${inner}/${slot}` === key);
  if (field && (values === undefined || Array.isArray(values))) {
    const listed = [...(values ?? [])];
    while (listed.length <= field.at) listed.push(null);
    return { ...node, widgets_values: listed.with(field.at, value) };
  }
  const def = catalogue.get(node.type);
  return def ? withWidget(node, def, key, value) : node;
}

function promotedViews(holder: GraphNode, definition: Subgraph, around: Surroundings): WidgetView[] {
  const values = holder.widgets_values ?? [];
  const views = promotedNames(holder).flatMap(([inner, name], index) => {
    const source = inner === "-1" ? behindPort(definition, name, around) : innerWidget(definition, inner, name, around);
    if (!source) return [];
    const given = Array.isArray(values) ? values[index] : values[name];
    const slot = inner === "-1" ? slotOf(holder, name) : { slot: null, linked: false };
    const label = slot.slot === null ? source.input.label : (holder.inputs?.[slot.slot]?.label ?? source.input.label);
    const input: InputDef = { ...source.input, name, controlled: false, ...(label !== undefined && { label }) };
    return [{ key: `${inner}/${name}`, input, value: given ?? source.value, ...slot }];
  });
  return toldApart(views, definition, around);
}

/** Label fields that share a name with the title of their inner node, and with its id if titles are equal too. */
function toldApart(views: WidgetView[], definition: Subgraph, around: Surroundings): WidgetView[] {
  const titled = (view: WidgetView): string => {
    const id = view.key.slice(0, view.key.indexOf("/"));
    const node = nodesById(definition).get(id);
    return node ? node.title || defOf(node, around)?.label || defOf(node, around)?.title || node.type : "";
  };
  const shown = ({ input }: WidgetView): string => input.label ?? input.name;
  return views.map((view) => {
    const same = views.filter((other) => shown(other) === shown(view));
    const title = titled(view);
    if (same.length === 1 || !title) return view;
    const twins = same.filter((other) => titled(other) === title).length > 1;
    const id = twins ? ` ${view.key.slice(0, view.key.indexOf("/"))}` : "";
    return { ...view, input: { ...view.input, label: `${title}${id}: ${shown(view)}` } };
  });
}

interface Source {
  input: InputDef;
  value: unknown;
}

function innerWidget(definition: Subgraph, id: string, name: string, around: Surroundings): Source | null {
  const node = nodesById(definition).get(id);
  const found = node && widgetViews(node, around).find((view) => view.input.name === name);
  return found ? { input: found.input, value: found.value } : null;
}

/** The widget inside that an input of the subgraph feeds. */
function behindPort(definition: Subgraph, name: string, around: Surroundings): Source | null {
  const index = definition.inputs?.findIndex((port) => port.name === name) ?? -1;
  const port = definition.inputs?.[index];
  if (!port) return null;
  for (const link of linksById(definition).values()) {
    if (String(link.origin_id) !== String(definition.inputNode?.id ?? -10) || link.origin_slot !== index) continue;
    const target = nodesById(definition).get(String(link.target_id));
    const slot = target?.inputs?.[link.target_slot];
    const found =
      target && widgetViews(target, around).find((view) => view.input.name === (slot?.widget?.name ?? slot?.name));
    if (found) return { input: found.input, value: found.value };
  }
  return guessed(name, port.type);
}

const GUESSES: Record<string, WidgetKind> = {
  INT: "int",
  FLOAT: "float",
  STRING: "text",
  BOOLEAN: "switch",
  COMBO: "text",
};

function guessed(name: string, type: string): Source | null {
  const widget = GUESSES[type];
  if (!widget) return null;
  const input: InputDef = { name, type, required: true, widget, controlled: false, folder: "input" };
  return { input, value: firstValue(input) };
}

function primitiveViews(node: GraphNode, around: Surroundings): WidgetView[] {
  const values = node.widgets_values ?? [];
  const value = Array.isArray(values) ? values[0] : Object.values(values)[0];
  const type = String(node.outputs?.[0]?.type ?? "*");
  const widget: WidgetKind =
    GUESSES[type] ?? (typeof value === "number" ? "float" : typeof value === "boolean" ? "switch" : "text");
  const target = primitiveTarget(node, around);
  const input: InputDef = target ?? { name: "value", type, required: true, widget, controlled: false, folder: "input" };
  return value === undefined && !target
    ? []
    : [
        {
          key: "value",
          input: { ...input, controlled: primitiveControl(node) !== undefined },
          value: value ?? firstValue(input),
          slot: null,
          linked: false,
        },
      ];
}

/** The input that says what a primitive's value may be: the first that it feeds. */
export function primitiveTarget(node: GraphNode, { doc, catalogue }: Surroundings): InputDef | null {
  const levels = [doc, ...subgraphs(doc).values()].filter((level) => nodesById(level).get(String(node.id)) === node);
  for (const id of node.outputs?.[0]?.links ?? []) {
    for (const level of levels) {
      const link = linksById(level).get(String(id));
      const target = link && nodesById(level).get(String(link.target_id));
      const slot = target?.inputs?.[link?.target_slot ?? -1];
      const found =
        target && catalogue.get(target.type)?.inputs.find((input) => input.name === (slot?.widget?.name ?? slot?.name));
      if (found?.widget) return found;
    }
  }
  return null;
}

/** The type of a node as the editor needs it; a subgraph's is made of its ports. undefined: nobody knows it. */
export function defOf(node: GraphNode, { doc, catalogue }: Surroundings): NodeDef | undefined {
  const definition = subgraphs(doc).get(node.type);
  if (!definition) return catalogue.get(node.type) ?? groupDef(node.type, { doc, catalogue });
  const ports = (list: Subgraph["inputs"] | undefined) => list ?? [];
  return {
    name: definition.id,
    title: definition.name,
    description: "",
    category: "",
    inputs: ports(definition.inputs).map(({ name, type }) => ({
      name,
      type,
      required: true,
      widget: null,
      controlled: false,
      folder: "input" as const,
    })),
    outputs: ports(definition.outputs).map(({ name, type }) => ({ name, type, isList: false })),
    outputNode: false,
    deprecated: false,
    experimental: false,
  };
}

function groupDef(type: string, around: Surroundings): NodeDef | undefined {
  const group = groupPlan(type, around);
  if (!group) return undefined;
  const socket = { required: true, widget: null, controlled: false, folder: "input" as const };
  return {
    name: type,
    title: group.title,
    description: "",
    category: "",
    inputs: group.inputs.map(({ name, type: of }) => ({ ...socket, name, type: of })),
    outputs: group.outputs.map(({ name, type: of }) => ({ name, type: of, isList: false })),
    outputNode: false,
    deprecated: false,
    experimental: false,
  };
}
