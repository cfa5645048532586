/** Lays out a workflow in the API dialect, which has no positions: in columns by depth. */

import { type Doc, emptyDocument, type GraphNode } from "../document/document";
import { membersOf, newSlot } from "../document/dynamic_inputs";
import { withSlotsOf } from "../document/dynamic_slots";
import { addNode, connect, mapNode } from "../document/edits";
import { newNode } from "../document/new_nodes";
import type { Catalogue } from "../document/schema";
import { chosenInputs, shownInputs, withWidget } from "../document/widget_values";
import type { ApiWorkflow } from "./api";

const isLink = (value: unknown): value is [string, number] =>
  Array.isArray(value) && value.length === 2 && typeof value[1] === "number";

export function fromApi(api: ApiWorkflow, catalogue: Catalogue): Doc {
  const numbers = new Map(Object.keys(api).map((id, index) => [id, /^\d+$/.test(id) ? Number(id) : 100_000 + index]));
  const column = depths(api);
  const rows = new Map<number, number>();
  let doc: Doc = emptyDocument();
  for (const [id, { class_type, inputs, _meta }] of Object.entries(api)) {
    const def = catalogue.get(class_type);
    const depth = column.get(id) ?? 0;
    const y = rows.get(depth) ?? 60;
    rows.set(depth, y + 140 + 26 * Object.keys(inputs ?? {}).length);
    const number = numbers.get(id) as number;
    let node: GraphNode = def
      ? newNode(def, number, [60 + 380 * depth, y])
      : unknownNode(class_type, number, [60 + 380 * depth, y], inputs ?? {}, api);
    if (_meta?.title && _meta.title !== def?.title) node = { ...node, title: _meta.title };
    for (const [name, value] of choicesFirst(inputs ?? {})) {
      if (!def || isLink(value)) continue;
      const own = value !== null && typeof value === "object" && "__value__" in value ? value.__value__ : value;
      if (chosenInputs(node, def).some((input) => input.name === name && input.widget))
        node = withWidget(node, def, name, own);
    }
    doc = addNode(doc, withFixedSeeds(node)) as Doc;
  }
  for (const [id, { class_type, inputs }] of Object.entries(api)) {
    for (const [name, value] of Object.entries(inputs ?? {})) {
      if (!isLink(value) || !numbers.has(String(value[0]))) continue;
      const target = String(numbers.get(id));
      doc = withSocket(doc, target, name, catalogue);
      const node = doc.nodes.find((candidate) => String(candidate.id) === target);
      const def = catalogue.get(class_type);
      const type = (node && def && shownInputs(node, def).find((input) => input.name === name)?.type) ?? "*";
      const index = node?.inputs?.findIndex((slot) => slot.name === name) ?? -1;
      const origin = String(numbers.get(String(value[0])));
      doc = connect(doc, { origin, originSlot: value[1], target, targetSlot: index < 0 ? name : index }, type) as Doc;
    }
  }
  return doc.nodes.reduce((now, { id }) => withSlotsOf(now, String(id), catalogue) as Doc, doc);
}

/** A choice decides which inputs follow it: `choice` comes before `choice.input`. */
const choicesFirst = (inputs: Record<string, unknown>): [string, unknown][] =>
  Object.entries(inputs).sort(([first], [second]) => first.split(".").length - second.split(".").length);

/** The document with the socket of a choice's option or of a growing input, if the node has no slot for it yet. */
function withSocket(doc: Doc, id: string, name: string, catalogue: Catalogue): Doc {
  return mapNode(doc, id, (node) => {
    const def = catalogue.get(node.type);
    if (!def || node.inputs?.some((slot) => slot.name === name)) return node;
    const possible = chosenInputs(node, def).flatMap((input) => (input.grows ? membersOf(input) : [input]));
    const input = possible.find((candidate) => candidate.name === name && candidate.widget === null);
    return input ? { ...node, inputs: [...(node.inputs ?? []), newSlot(input)] } : node;
  }) as Doc;
}

/** Keep the seed of the run: it must not change after the next one. */
function withFixedSeeds(node: GraphNode): GraphNode {
  const values = node.widgets_values;
  return Array.isArray(values)
    ? { ...node, widgets_values: values.map((value) => (value === "randomize" ? "fixed" : value)) }
    : node;
}

function unknownNode(
  type: string,
  id: number,
  pos: [number, number],
  inputs: Record<string, unknown>,
  api: ApiWorkflow,
): GraphNode {
  const own = Object.entries(inputs).filter(([, value]) => !isLink(value));
  const used = Object.values(api).flatMap((node) => Object.values(node.inputs ?? {}).filter(isLink));
  const outputs = Math.max(0, ...used.filter(([origin]) => String(origin) === String(id)).map(([, slot]) => slot + 1));
  return {
    id,
    type,
    pos,
    size: [270, 80],
    flags: {},
    order: 0,
    mode: 0,
    inputs: [
      ...Object.entries(inputs)
        .filter(([, value]) => isLink(value))
        .map(([name]) => ({ name, type: "*", link: null })),
      ...own.map(([name]) => ({ name, type: "*", link: null, widget: { name } })),
    ],
    outputs: Array.from({ length: outputs }, (_, slot) => ({
      name: `${slot}`,
      type: "*",
      links: null,
      slot_index: slot,
    })),
    properties: { "Node name for S&R": type },
    widgets_values: own.map(([, value]) => value),
  };
}

function depths(api: ApiWorkflow): Map<string, number> {
  const depth = new Map<string, number>();
  const visit = (id: string, path: ReadonlySet<string>): number => {
    const known = depth.get(id);
    if (known !== undefined) return known;
    if (path.has(id) || !api[id]) return 0;
    const feeders = Object.values(api[id].inputs ?? {}).filter(isLink);
    const below = new Set([...path, id]);
    const found = feeders.reduce((most, [origin]) => Math.max(most, visit(String(origin), below) + 1), 0);
    depth.set(id, found);
    return found;
  };
  for (const id of Object.keys(api)) visit(id, new Set());
  return depth;
}
