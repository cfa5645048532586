/** Paints the grid, groups, links, and distant nodes. */

import { BYPASSED, type Group, type Id, type Level, MUTED } from "../document/document";
import { type Geometry, geometry, HEADER, placedNodes } from "../document/geometry";
import { GROUP_TITLE } from "../document/grouping";
import { type LinkPath, linkPaths, reroutePlaces, trace } from "../document/links";
import type { EditContext } from "../document/widget_views";
import type { View } from "../state/editor";
import type { NodeRuns } from "../state/runs";
import { type Pull, socketKey } from "../state/ui";
import { paintPictures } from "./far_pictures";
import { colors, typeColor } from "./palette";
import { SOCKETS_FROM_ZOOM } from "./wiring";

export interface Scene {
  level: Level;
  env: EditContext;
  view: View;
  width: number;
  height: number;
  ratio: number;
  selection: ReadonlySet<string>;
  groups: ReadonlySet<number>;
  link: Id | null;
  /** Whether nodes are painted, too. */
  far: boolean;
  /** The link that is being drawn. */
  pull: Pull | null;
  runs: NodeRuns;
  prefix: string;
  /** Called when a picture of a distant node has been loaded. */
  repaint(): void;
}

const SMALLEST_REROUTES = 0.2;

export function paint(context: CanvasRenderingContext2D, scene: Scene): void {
  const { view, width, height, ratio } = scene;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  paintGrid(context, scene);
  context.setTransform(ratio * view.zoom, 0, 0, ratio * view.zoom, ratio * view.x, ratio * view.y);
  for (const [index, group] of (scene.level.groups ?? []).entries())
    paintGroup(context, group, view.zoom, scene.groups.has(index));
  paintLinks(context, scene);
  if (!scene.far) return;
  paintNodes(context, scene);
  if (view.zoom > SMALLEST_REROUTES) paintReroutes(context, scene);
}

function paintGrid(context: CanvasRenderingContext2D, { view, width, height }: Scene): void {
  if (view.zoom < 0.35) return;
  const step = 20 * view.zoom * (view.zoom < 0.7 ? 2 : 1);
  const size = Math.max(1, 1.1 * view.zoom);
  context.fillStyle = colors().grid;
  for (let x = ((view.x % step) + step) % step; x < width; x += step) {
    for (let y = ((view.y % step) + step) % step; y < height; y += step) context.fillRect(x, y, size, size);
  }
}

function paintGroup(context: CanvasRenderingContext2D, group: Group, zoom: number, selected: boolean): void {
  const [x, y, width, height] = group.bounding;
  const tint = /^#[0-9a-f]{3,8}$/i.test(group.color ?? "") ? (group.color as string) : colors().group;
  context.beginPath();
  context.roundRect(x, y, width, height, 12);
  context.globalAlpha = colors().dark ? 0.12 : 0.08;
  context.fillStyle = tint;
  context.fill();
  context.globalAlpha = selected ? 1 : 0.45;
  context.strokeStyle = selected ? colors().accent : tint;
  context.lineWidth = (selected ? 2 : 1) / Math.min(1, zoom);
  context.stroke();
  context.globalAlpha = 1;
  if (zoom < 0.14) return;
  if (zoom > 0.35) {
    // the resize handle
    context.beginPath();
    context.moveTo(x + width - 12, y + height - 5);
    context.lineTo(x + width - 5, y + height - 12);
    context.moveTo(x + width - 7, y + height - 5);
    context.lineTo(x + width - 5, y + height - 7);
    context.stroke();
  }
  context.fillStyle = colors().soft;
  context.font = `600 ${zoom < 0.5 ? 18 : 13}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillText(clipped(context, group.title ?? "", width - 24), x + 12, y + GROUP_TITLE / 2 + 1);
}

function paintLinks(context: CanvasRenderingContext2D, scene: Scene): void {
  const { view, width, height } = scene;
  const left = -view.x / view.zoom - 40;
  const top = -view.y / view.zoom - 40;
  const right = left + width / view.zoom + 80;
  const bottom = top + height / view.zoom + 80;
  const straight = view.zoom < 0.22;
  const byColor = new Map<string, Path2D>();
  let chosen: LinkPath | null = null;
  for (const path of linkPaths(scene.level, scene.env)) {
    const { box } = path;
    if (box.right < left || box.left > right || box.bottom < top || box.top > bottom) continue;
    if (path.link.id === scene.link) chosen = path;
    let batch = byColor.get(path.color);
    if (!batch) {
      batch = new Path2D();
      byColor.set(path.color, batch);
    }
    trace(batch, path.route, straight);
  }
  context.lineCap = "butt";
  context.lineWidth = straight ? 1.2 / view.zoom : Math.max(2, 1.3 / view.zoom);
  context.globalAlpha = 0.82;
  for (const [type, batch] of byColor) {
    context.strokeStyle = typeColor(type);
    context.stroke(batch);
  }
  context.globalAlpha = 1;
  if (chosen) {
    const path = new Path2D();
    trace(path, chosen.route);
    context.lineWidth = 5 / Math.min(1, view.zoom);
    context.strokeStyle = colors().accent;
    context.stroke(path);
  }
}

/** The reroute points of links. Nearby ones are elements instead. */
function paintReroutes(context: CanvasRenderingContext2D, { level, env, view }: Scene): void {
  const radius = Math.max(6, 3.5 / view.zoom);
  for (const { at, color } of reroutePlaces(level, env)) {
    context.beginPath();
    context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
    context.fillStyle = typeColor(color);
    context.fill();
  }
}

function paintNodes(context: CanvasRenderingContext2D, scene: Scene): void {
  const { level, env, view, width, height, selection, runs, prefix } = scene;
  const palette = colors();
  const left = -view.x / view.zoom;
  const top = -view.y / view.zoom;
  const right = left + width / view.zoom;
  const bottom = top + height / view.zoom;
  const cards = new Path2D();
  const headers = new Path2D();
  const marked: [Geometry, string][] = [];
  const tinted: [Geometry, string][] = [];
  const faded: Geometry[] = [];
  const shown: Shown[] = [];
  const round = view.zoom > 0.2 ? 8 : 0;
  for (const node of placedNodes(level)) {
    const place = geometry(node, env);
    if (place.x > right || place.y > bottom || place.x + place.width < left || place.y + place.height < top) continue;
    shown.push({ id: String(node.id), place });
    if (round) {
      cards.roundRect(place.x, place.y, place.width, place.height, round);
      headers.roundRect(place.x, place.y, place.width, Math.min(HEADER, place.height), [round, round, 0, 0]);
    } else {
      cards.rect(place.x, place.y, place.width, place.height);
      headers.rect(place.x, place.y, place.width, Math.min(HEADER, place.height));
    }
    const id = String(node.id);
    const run = runs[prefix + id];
    if (node.color && /^#[0-9a-f]{3,8}$/i.test(node.color)) tinted.push([place, node.color]);
    if (node.mode === MUTED || node.mode === BYPASSED) faded.push(place);
    if (selection.has(id)) marked.push([place, palette.accent]);
    else if (run?.error || run?.problems) marked.push([place, palette.error]);
    else if (run?.state === "running") marked.push([place, palette.accent]);
  }
  context.fillStyle = palette.card;
  context.fill(cards);
  context.fillStyle = palette.header;
  context.fill(headers);
  context.lineWidth = 1 / view.zoom;
  context.strokeStyle = palette.line;
  context.stroke(cards);
  for (const [place, color] of tinted) {
    context.fillStyle = color;
    context.fillRect(place.x, place.y, place.width, Math.min(HEADER, place.height));
  }
  const pictured = shown.map(({ id, place }) => ({ place, run: runs[prefix + id] }));
  paintPictures(context, pictured, view.zoom, palette.card, scene.repaint);
  context.lineWidth = 2.5 / view.zoom;
  for (const [place, color] of marked) {
    context.strokeStyle = color;
    context.strokeRect(place.x, place.y, place.width, place.height);
  }
  if (view.zoom > SOCKETS_FROM_ZOOM) paintSockets(context, shown, scene.pull);
  if (view.zoom > 0.16) {
    context.fillStyle = palette.text;
    context.font = `600 ${view.zoom < 0.3 ? 18 : 14}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (const { place } of shown) {
      if (place.look !== "reroute")
        context.fillText(clipped(context, place.title, place.width - 20), place.x + 10, place.y + HEADER / 2 + 1);
    }
  }
  context.globalAlpha = 0.5;
  context.fillStyle = palette.dark ? "#000" : "#fff";
  for (const place of faded) context.fillRect(place.x, place.y, place.width, place.height);
  context.globalAlpha = 1;
}

interface Shown {
  id: string;
  place: Geometry;
}

/** While a link is being drawn, sockets that accept it are larger and all others faint. */
function paintSockets(context: CanvasRenderingContext2D, shown: Shown[], pull: Pull | null): void {
  const byType = new Map<string, Path2D>();
  const refusing = new Map<string, Path2D>();
  const dot = ({ id, place }: Shown, side: "input" | "output", { type, index, y }: Geometry["inputs"][number]) => {
    const takes = pull?.takers.has(socketKey(id, side, index));
    const half = takes ? 6 : 4;
    const batches = pull && !takes ? refusing : byType;
    let batch = batches.get(type);
    if (!batch) {
      batch = new Path2D();
      batches.set(type, batch);
    }
    batch.rect((side === "input" ? place.x : place.x + place.width) - half, place.y + y - half, 2 * half, 2 * half);
  };
  for (const one of shown) {
    for (const slot of one.place.inputs) dot(one, "input", slot);
    for (const slot of one.place.outputs) dot(one, "output", slot);
  }
  for (const [batches, alpha] of [
    [refusing, 0.25],
    [byType, 1],
  ] as const) {
    context.globalAlpha = alpha;
    for (const [type, batch] of batches) {
      context.fillStyle = typeColor(type);
      context.fill(batch);
    }
  }
  context.globalAlpha = 1;
}

const widths = new Map<string, string>();

/** Cuts a text to the available width. */
function clipped(context: CanvasRenderingContext2D, text: string, width: number): string {
  const key = `${context.font}|${Math.round(width)}|${text}`;
  let fitting = widths.get(key);
  if (fitting === undefined) {
    fitting = text;
    while (fitting.length > 1 && context.measureText(fitting).width > width) fitting = `${fitting.slice(0, -2)}…`;
    if (widths.size > 5000) widths.clear();
    widths.set(key, fitting);
  }
  return fitting;
}
