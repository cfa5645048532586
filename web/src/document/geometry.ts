/**
 * Computes the position of everything on a node from the document alone. Elements of nearby nodes, painted nodes,
 * ends of links and hit tests all use these positions.
 */

import { isUnseen } from "./custom_combo";
import { type GraphNode, type InputSlot, type Level, NOTES, pair, position, type Subgraph } from "./document";
import { groupName } from "./group_nodes";
import type { Catalogue, InputDef, NodeDef } from "./schema";
import { shownInputs } from "./widget_values";
import { defOf, type EditContext, type WidgetView, widgetViews } from "./widget_views";

export const HEADER = 30;
export const SLOT = 22;
export const WIDGET = 28;
const TEXT_LEAST = 68;
const MEDIA_LEAST = 190;
const PAD = 6;
export const GRID = 10;
const LEAST_WIDTH = 170;

export interface SlotRow {
  index: number;
  name: string;
  label: string;
  type: string;
  y: number;
  linked: boolean;
}

export interface WidgetRow extends WidgetView {
  y: number;
  height: number;
}

export type Look = "plain" | "reroute" | "note" | "unknown" | "subgraph" | "group" | "boundary";

export interface Geometry {
  look: Look;
  title: string;
  x: number;
  y: number;
  width: number;
  height: number;
  collapsed: boolean;
  inputs: SlotRow[];
  outputs: SlotRow[];
  widgets: WidgetRow[];
  /** Where pictures, or texts from the node, are shown. */
  media: { y: number; height: number } | null;
  /** Minimum size without the header; null: the size is fixed. */
  least: { width: number; height: number } | null;
  /** Whether additional height is useful: for texts and pictures. Otherwise a node is as high as its rows. */
  stretches: boolean;
}

/** Widgets that show a text. */
const TEXT_NODES = new Set(["PreviewAny"]);
const MEDIA_NODES = new Set([
  "SaveImage",
  "PreviewImage",
  "LoadImage",
  "LoadImageMask",
  "LoadImageOutput",
  "SaveAnimatedPNG",
  "SaveAnimatedWEBP",
  "MaskPreview",
  "ImageCompare",
]);

/** Categories whose output nodes show pictures. */
const MEDIA_CATEGORIES = /^(explain|training)(\/|$)/;

const showsPictures = (type: string, def: NodeDef | undefined): boolean =>
  MEDIA_NODES.has(type) || (def?.outputNode === true && MEDIA_CATEGORIES.test(def.category));

let cacheOf: { doc: unknown; catalogue: Catalogue } | null = null;
let cache = new WeakMap<GraphNode, Geometry>();

export function geometry(node: GraphNode, env: EditContext): Geometry {
  const definitions = env.doc.definitions;
  if (cacheOf === null || cacheOf.doc !== definitions || cacheOf.catalogue !== env.catalogue) {
    cacheOf = { doc: definitions, catalogue: env.catalogue };
    cache = new WeakMap();
  }
  let found = cache.get(node);
  if (found === undefined) {
    found = measure(node, env);
    cache.set(node, found);
  }
  return found;
}

const labelOf = (entries: readonly { name: string; label?: string }[] | undefined, name: string) =>
  entries?.find((entry) => entry.name === name)?.label;

/** Files label the sockets of a group with the end of their name, which is no label that a person gave. */
function labelOfSlot(slot: InputSlot, known: readonly InputDef[] | undefined): string {
  const own = slot.name.endsWith(`.${slot.label}`) ? undefined : slot.label;
  return own || labelOf(known, slot.name) || slot.label || slot.name;
}

function measure(node: GraphNode, env: EditContext): Geometry {
  const [x, y] = position(node);
  const [width, height] = pair(node.size, [240, 60]);
  const def = defOf(node, env);
  const look = lookOf(node, env, def !== undefined);
  const title = node.title || def?.label || def?.title || (node.type === "Reroute" ? "" : node.type);
  const base = { look, title, collapsed: Boolean(node.flags?.collapsed), least: null, stretches: false };
  const shown = look === "reroute" ? [] : widgetViews(node, env);
  const widgetSlots = new Set(shown.map((view) => view.slot).filter((slot) => slot !== null));
  const known = def && shownInputs(node, def);
  const inputs = (node.inputs ?? []).flatMap((slot, index) =>
    widgetSlots.has(index) || isButton(slot, def)
      ? []
      : [
          {
            index,
            name: slot.name,
            label: labelOfSlot(slot, known),
            type: String(slot.type),
            y: 0,
            linked: slot.link !== null && slot.link !== undefined,
          },
        ],
  );
  const outputs = (node.outputs ?? []).map((slot, index) => ({
    index,
    name: slot.name,
    label: slot.label || labelOf(def?.outputs, slot.name) || slot.name || String(slot.type),
    type: Array.isArray(slot.type) ? "COMBO" : String(slot.type),
    y: 0,
    linked: Boolean(slot.links?.length),
  }));
  if (look === "reroute") {
    const middle = (slot: SlotRow): SlotRow => ({ ...slot, label: "", y: 13 });
    return {
      ...base,
      x,
      y,
      width: 44,
      height: 26,
      collapsed: false,
      inputs: inputs.map(middle),
      outputs: outputs.map(middle),
      widgets: [],
      media: null,
    };
  }
  const wide = Math.max(width, LEAST_WIDTH);
  if (base.collapsed) {
    const middle = (slot: SlotRow): SlotRow => ({ ...slot, y: HEADER / 2 });
    const widgets = shown.map((view) => ({ ...view, y: 0, height: HEADER }));
    return {
      ...base,
      x,
      y: y - HEADER,
      width: Math.min(wide, 220),
      height: HEADER,
      inputs: inputs.map(middle),
      outputs: outputs.map(middle),
      widgets,
      media: null,
    };
  }
  let at = HEADER + PAD;
  const rows = Math.max(inputs.length, outputs.length);
  for (const side of [inputs, outputs]) {
    for (const [index, slot] of side.entries()) slot.y = at + SLOT * index + SLOT / 2;
  }
  at += SLOT * rows;
  const texts = shown.filter((view) => view.input.widget === "multiline").length;
  const hasPictures = showsPictures(node.type, def) || shown.some((view) => view.input.widget === "image");
  const hasMedia = hasPictures || TEXT_NODES.has(node.type);
  const least =
    at +
    (shown.length - texts) * WIDGET +
    texts * TEXT_LEAST +
    (hasPictures ? MEDIA_LEAST : hasMedia ? TEXT_LEAST : 0) +
    PAD;
  const isNote = look === "note";
  const floor = Math.max(least, isNote ? HEADER + TEXT_LEAST : 0);
  const whole = Math.max(floor, height + HEADER);
  const spare = whole - least;
  const stretch = texts && !hasMedia ? spare / texts : 0;
  const widgets = shown.map((view) => {
    const tall = view.input.widget === "multiline" ? TEXT_LEAST + stretch : WIDGET;
    const row = { ...view, y: at, height: tall };
    at += tall;
    return row;
  });
  const media = hasMedia ? { y: at + 2, height: whole - at - PAD - 2 } : null;
  // Surplus space in a file's sizes is dropped: fonts and row heights differ.
  const stretches = hasMedia || texts > 0 || isNote || look === "unknown" || look === "boundary";
  const smallest = look === "boundary" ? null : { width: LEAST_WIDTH, height: floor - HEADER };
  return {
    ...base,
    x,
    y: y - HEADER,
    width: wide,
    height: stretches ? whole : least,
    inputs,
    outputs,
    widgets,
    media,
    least: smallest,
    stretches,
  };
}

/** Newer files list a front end's buttons among the inputs, for example an image's upload; no class declares them. */
const isButton = (slot: InputSlot, def: NodeDef | undefined): boolean =>
  def !== undefined &&
  slot.widget !== undefined &&
  (slot.link ?? null) === null &&
  (isUnseen(def, slot.name) ||
    (UPLOADS.test(String(slot.type)) && !def.inputs.some((input) => input.name === slot.name)));

const UPLOADS = /^[A-Z]+UPLOAD$/;

function lookOf(node: GraphNode, { doc, catalogue }: EditContext, known: boolean): Look {
  if (node.type === "Reroute") return "reroute";
  if (NOTES.has(node.type)) return "note";
  if (node.type === IN || node.type === OUT) return "boundary";
  if (node.type === "PrimitiveNode") return "plain";
  if (!known) return "unknown";
  if (groupName(node.type) !== null && !catalogue.has(node.type)) return "group";
  return catalogue.has(node.type) || !doc.definitions ? "plain" : "subgraph";
}

export interface Point {
  x: number;
  y: number;
}

/** Where a link leaves or arrives, on the canvas. */
export function socket(place: Geometry, side: "input" | "output", slot: number): Point {
  const x = side === "input" ? place.x : place.x + place.width;
  if (place.collapsed) return { x, y: place.y + HEADER / 2 };
  if (side === "output") return { x, y: place.y + (place.outputs[slot]?.y ?? HEADER / 2) };
  const row = place.inputs.find((input) => input.index === slot);
  if (row) return { x, y: place.y + row.y };
  const widget = place.widgets.find((view) => view.slot === slot);
  return { x, y: place.y + (widget ? widget.y + Math.min(widget.height, WIDGET) / 2 : HEADER / 2) };
}

export const IN = "\u0000inputs";
export const OUT = "\u0000outputs";

const boundaries = new WeakMap<object, GraphNode>();

/** The nodes of a level, including the two edge nodes of a subgraph. */
export function placedNodes(level: Level): GraphNode[] {
  const inside = level as Subgraph;
  if (!inside.inputNode || !inside.outputNode) return level.nodes;
  return [...level.nodes, boundary(inside, "input"), boundary(inside, "output")];
}

/** A link that ends here creates a port. */
const FREE = { name: "+", type: "*" };

function boundary(level: Subgraph, side: "input" | "output"): GraphNode {
  const box = side === "input" ? level.inputNode : level.outputNode;
  const ports = (side === "input" ? level.inputs : level.outputs) ?? [];
  const cached = boundaries.get(box);
  if (cached && cached.ports === ports) return cached;
  const [x, y, width, height] = box.bounding ?? [0, 0, 140, 80];
  const node: GraphNode = {
    id: box.id,
    type: side === "input" ? IN : OUT,
    title: side === "input" ? "Inputs" : "Outputs",
    pos: [x ?? 0, (y ?? 0) + HEADER],
    size: [width ?? 140, height ?? 80],
    inputs:
      side === "output"
        ? [
            ...ports.map(({ name, type, label, linkIds }) => ({ name, type, label, link: linkIds?.[0] ?? null })),
            { ...FREE, link: null },
          ]
        : [],
    outputs:
      side === "input"
        ? [
            ...ports.map(({ name, type, label, linkIds }) => ({ name, type, label, links: linkIds ?? null })),
            { ...FREE, links: null },
          ]
        : [],
    ports,
  };
  boundaries.set(box, node);
  return node;
}

/** The bounding box of nodes; null if there are none. */
export function bounds(
  places: Iterable<Pick<Geometry, "x" | "y" | "width" | "height">>,
): { x: number; y: number; width: number; height: number } | null {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const place of places) {
    left = Math.min(left, place.x);
    top = Math.min(top, place.y);
    right = Math.max(right, place.x + place.width);
    bottom = Math.max(bottom, place.y + place.height);
  }
  return left === Infinity ? null : { x: left, y: top, width: right - left, height: bottom - top };
}
