/** A canvas for a workflow in the API dialect, which has no places: columns by depth. */

import { type Doc, emptyDocument, type GraphNode } from "../document/document";
import { addNode, connect } from "../document/edits";
import { newNode } from "../document/new_nodes";
import type { Catalogue } from "../document/schema";
import { withWidget } from "../document/widget_values";
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
    for (const [name, value] of Object.entries(inputs ?? {})) {
      if (!def || isLink(value)) continue;
      const own = value !== null && typeof value === "object" && "__value__" in value ? value.__value__ : value;
      if (def.inputs.some((input) => input.name === name && input.widget)) node = withWidget(node, def, name, own);
    }
    doc = addNode(doc, withFixedSeeds(node)) as Doc;
  }
  for (const [id, { class_type, inputs }] of Object.entries(api)) {
    for (const [name, value] of Object.entries(inputs ?? {})) {
      if (!isLink(value) || !numbers.has(String(value[0]))) continue;
      const target = String(numbers.get(id));
      const type = catalogue.get(class_type)?.inputs.find((input) => input.name === name)?.type ?? "*";
      const index =
        doc.nodes.find((node) => String(node.id) === target)?.inputs?.findIndex((slot) => slot.name === name) ?? -1;
      const origin = String(numbers.get(String(value[0])));
      doc = connect(doc, { origin, originSlot: value[1], target, targetSlot: index < 0 ? name : index }, type) as Doc;
    }
  }
  return doc;
}

/** What ran had this seed: it is not to change by itself. */
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
