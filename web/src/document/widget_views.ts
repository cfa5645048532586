/** The widgets of a node with their values: its own, or on a subgraph's node the ones promoted from inside. */

import { isUnseen } from "./custom_combo";
import { type Doc, type GraphNode, linksById, NOTES, nodesById, type Subgraph, subgraphs } from "./document";
import { type GroupPlan, groupPlan, placedFields, withGroupField } from "./group_nodes";
import { promotedNames } from "./promoted";
import { type Catalogue, firstValue, type InputDef, type NodeDef, type WidgetKind } from "./schema";
import { entries, primitiveControl, shownInputs, widgetValues, withWidget } from "./widget_values";

export interface WidgetView {
  /** Unique on the node; `setWidget` takes this key. */
  key: string;
  input: InputDef;
  value: unknown;
  /** The input slot of the widget; null: not yet created. */
  slot: number | null;
  linked: boolean;
}

/** The document and the node types, which most functions on nodes need. */
export interface EditContext {
  doc: Doc;
  catalogue: Catalogue;
}

export function widgetViews(node: GraphNode, { doc, catalogue }: EditContext): WidgetView[] {
  const definition = subgraphs(doc).get(node.type);
  if (definition) return promotedViews(node, definition, { doc, catalogue });
  if (NOTES.has(node.type)) return [];
  if (node.type === "PrimitiveNode") return primitiveViews(node, { doc, catalogue });
  const group = groupPlan(node.type, { doc, catalogue });
  if (group) return groupViews(node, group);
  const def = catalogue.get(node.type);
  if (!def) return [];
  const values = widgetValues(node, def);
  return entries(node, def)
    .filter(({ input }) => !isUnseen(def, input.name))
    .map(({ input }) => ({ key: input.name, input, value: values[input.name], ...slotOf(node, input.name) }));
}

function slotOf(node: GraphNode, name: string): Pick<WidgetView, "slot" | "linked"> {
  const index = (node.inputs ?? []).findIndex((input) =>
    input.widget ? input.widget.name === name : input.name === name,
  );
  if (index < 0) return { slot: null, linked: false };
  const link = node.inputs?.[index]?.link;
  return { slot: index, linked: link !== null && link !== undefined };
}

function groupViews(node: GraphNode, plan: GroupPlan): WidgetView[] {
  return placedFields(node, plan).map(({ name, inner, slot, input, value, given }) => ({
    key: `${inner}/${slot}`,
    input: { ...input, name, controlled: false },
    value: given ?? value,
    ...slotOf(node, name),
  }));
}

export function setWidget(node: GraphNode, key: string, value: unknown, { doc, catalogue }: EditContext): GraphNode {
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
  if (group && field) return withGroupField(node, group, field.inner, field.slot, value);
  const def = catalogue.get(node.type);
  return def ? withWidget(node, def, key, value) : node;
}

function promotedViews(holder: GraphNode, definition: Subgraph, env: EditContext): WidgetView[] {
  const values = holder.widgets_values ?? [];
  const views = promotedNames(holder).flatMap(([inner, name], index) => {
    const source = inner === "-1" ? behindPort(definition, name, env) : innerWidget(definition, inner, name, env);
    if (!source) return [];
    const given = Array.isArray(values) ? values[index] : values[name];
    const slot = inner === "-1" ? slotOf(holder, name) : { slot: null, linked: false };
    const label = slot.slot === null ? source.input.label : (holder.inputs?.[slot.slot]?.label ?? source.input.label);
    const input: InputDef = { ...source.input, name, controlled: false, ...(label !== undefined && { label }) };
    return [{ key: `${inner}/${name}`, input, value: given ?? source.value, ...slot }];
  });
  return withDistinctLabels(views, definition, env);
}

/** Label fields that share a name with the title of their inner node, and with its id if titles are equal too. */
function withDistinctLabels(views: WidgetView[], definition: Subgraph, env: EditContext): WidgetView[] {
  const titled = (view: WidgetView): string => {
    const id = view.key.slice(0, view.key.indexOf("/"));
    const node = nodesById(definition).get(id);
    return node ? node.title || defOf(node, env)?.label || defOf(node, env)?.title || node.type : "";
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

function innerWidget(definition: Subgraph, id: string, name: string, env: EditContext): Source | null {
  const node = nodesById(definition).get(id);
  const found = node && widgetViews(node, env).find((view) => view.input.name === name);
  return found ? { input: found.input, value: found.value } : null;
}

/** The inner widget that an input of the subgraph feeds. */
function behindPort(definition: Subgraph, name: string, env: EditContext): Source | null {
  const index = definition.inputs?.findIndex((port) => port.name === name) ?? -1;
  const port = definition.inputs?.[index];
  if (!port) return null;
  for (const link of linksById(definition).values()) {
    if (String(link.origin_id) !== String(definition.inputNode?.id ?? -10) || link.origin_slot !== index) continue;
    const target = nodesById(definition).get(String(link.target_id));
    const slot = target?.inputs?.[link.target_slot];
    const found =
      target && widgetViews(target, env).find((view) => view.input.name === (slot?.widget?.name ?? slot?.name));
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

function primitiveViews(node: GraphNode, env: EditContext): WidgetView[] {
  const values = node.widgets_values ?? [];
  const value = Array.isArray(values) ? values[0] : Object.values(values)[0];
  const type = String(node.outputs?.[0]?.type ?? "*");
  const widget: WidgetKind =
    GUESSES[type] ?? (typeof value === "number" ? "float" : typeof value === "boolean" ? "switch" : "text");
  const target = primitiveTarget(node, env);
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

/** The input that determines a primitive's allowed values: the first one that it feeds. */
export function primitiveTarget(node: GraphNode, { doc, catalogue }: EditContext): InputDef | null {
  const levels = [doc, ...subgraphs(doc).values()].filter((level) => nodesById(level).get(String(node.id)) === node);
  for (const id of node.outputs?.[0]?.links ?? []) {
    for (const level of levels) {
      const link = linksById(level).get(String(id));
      const target = link && nodesById(level).get(String(link.target_id));
      const slot = target?.inputs?.[link?.target_slot ?? -1];
      const def = target && catalogue.get(target.type);
      const name = slot?.widget?.name ?? slot?.name;
      const found = def && shownInputs(target, def).find((input) => input.name === name);
      if (found?.widget) return found;
    }
  }
  return null;
}

/** The node's type as the editor needs it; a subgraph's type is made of its ports. undefined: unknown class. */
export function defOf(node: GraphNode, { doc, catalogue }: EditContext): NodeDef | undefined {
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

function groupDef(type: string, env: EditContext): NodeDef | undefined {
  const group = groupPlan(type, env);
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
