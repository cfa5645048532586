/** What is painted rather than built of elements: the grid, groups, links, and nodes that are far. */

import { BYPASSED, type Group, type Id, type Level, type LinkRecord, linksOf, MUTED, nodesById } from "../graph/document";
import { boundaryOf } from "../graph/edits";
import { type Geometry, geometry, HEADER, placedNodes, type Point, socket } from "../graph/geometry";
import type { Surroundings } from "../graph/widget_views";
import type { NodeRuns } from "../state/runs";
import type { View } from "../state/editor";
import { colors, typeColor } from "./palette";

export interface Scene {
  level: Level;
  around: Surroundings;
  view: View;
  width: number;
  height: number;
  ratio: number;
  selection: ReadonlySet<string>;
  link: Id | null;
  /** Nodes are painted too. */
  far: boolean;
  runs: NodeRuns;
  prefix: string;
}

interface LinkPath {
  link: LinkRecord;
  from: Point;
  to: Point;
  color: string;
}

export function places(level: Level, around: Surroundings): Map<string, Geometry> {
  return new Map(placedNodes(level).map((node) => [String(node.id), geometry(node, around)]));
}

let pathsOf: { level: Level; around: Surroundings } | null = null;
let paths: LinkPath[] = [];

/** Where every link runs. */
export function linkPaths(level: Level, around: Surroundings): LinkPath[] {
  if (pathsOf?.level === level && pathsOf.around.catalogue === around.catalogue) return paths;
  const at = places(level, around);
  paths = linksOf(level).flatMap((link) => {
    const origin = at.get(String(link.origin_id));
    const target = at.get(String(link.target_id));
    if (!origin || !target) return [];
    const type = String(origin.outputs[link.origin_slot]?.type ?? link.type);
    const color = type === "*" ? String(link.type ?? "*") : type;
    return [{ link, from: socket(origin, "output", link.origin_slot), to: socket(target, "input", link.target_slot), color }];
  });
  pathsOf = { level, around };
  return paths;
}

export const bend = (from: Point, to: Point): number => Math.min(160, Math.max(24, Math.abs(to.x - from.x) * 0.5));

export function paint(context: CanvasRenderingContext2D, scene: Scene): void {
  const { view, width, height, ratio } = scene;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  paintGrid(context, scene);
  context.setTransform(ratio * view.zoom, 0, 0, ratio * view.zoom, ratio * view.x, ratio * view.y);
  for (const group of scene.level.groups ?? []) paintGroup(context, group, view.zoom);
  paintLinks(context, scene);
  if (scene.far) paintNodes(context, scene);
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

export const GROUP_TITLE = 30;

function paintGroup(context: CanvasRenderingContext2D, group: Group, zoom: number): void {
  const [x, y, width, height] = group.bounding;
  const tint = /^#[0-9a-f]{3,8}$/i.test(group.color ?? "") ? (group.color as string) : colors().group;
  context.beginPath();
  context.roundRect(x, y, width, height, 12);
  context.globalAlpha = colors().dark ? 0.12 : 0.08;
  context.fillStyle = tint;
  context.fill();
  context.globalAlpha = 0.45;
  context.strokeStyle = tint;
  context.lineWidth = 1 / Math.min(1, zoom);
  context.stroke();
  context.globalAlpha = 1;
  if (zoom < 0.14) return;
  context.fillStyle = colors().faint;
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
  for (const path of linkPaths(scene.level, scene.around)) {
    const { from, to } = path;
    if (Math.max(from.x, to.x) < left - 160 || Math.min(from.x, to.x) > right + 160) continue;
    if (Math.max(from.y, to.y) < top || Math.min(from.y, to.y) > bottom) continue;
    if (path.link.id === scene.link) chosen = path;
    let batch = byColor.get(path.color);
    if (!batch) byColor.set(path.color, (batch = new Path2D()));
    trace(batch, from, to, straight);
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
    trace(path, chosen.from, chosen.to, false);
    context.lineWidth = 5 / Math.min(1, view.zoom);
    context.strokeStyle = colors().accent;
    context.stroke(path);
  }
}

function trace(path: Path2D, from: Point, to: Point, straight: boolean): void {
  path.moveTo(from.x, from.y);
  if (straight) return path.lineTo(to.x, to.y);
  const out = bend(from, to);
  path.bezierCurveTo(from.x + out, from.y, to.x - out, to.y, to.x, to.y);
}

function paintNodes(context: CanvasRenderingContext2D, scene: Scene): void {
  const { level, around, view, width, height, selection, runs, prefix } = scene;
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
  const shown: Geometry[] = [];
  const round = view.zoom > 0.2 ? 8 : 0;
  for (const node of placedNodes(level)) {
    const place = geometry(node, around);
    if (place.x > right || place.y > bottom || place.x + place.width < left || place.y + place.height < top) continue;
    shown.push(place);
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
  context.lineWidth = 2.5 / view.zoom;
  for (const [place, color] of marked) {
    context.strokeStyle = color;
    context.strokeRect(place.x, place.y, place.width, place.height);
  }
  if (view.zoom > 0.3) paintSockets(context, shown);
  if (view.zoom > 0.16) {
    context.fillStyle = palette.text;
    context.font = `600 ${view.zoom < 0.3 ? 18 : 14}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (const place of shown) {
      if (place.look !== "reroute") context.fillText(clipped(context, place.title, place.width - 20), place.x + 10, place.y + HEADER / 2 + 1);
    }
  }
  context.globalAlpha = 0.5;
  context.fillStyle = palette.dark ? "#000" : "#fff";
  for (const place of faded) context.fillRect(place.x, place.y, place.width, place.height);
  context.globalAlpha = 1;
}

function paintSockets(context: CanvasRenderingContext2D, shown: Geometry[]): void {
  const byType = new Map<string, Path2D>();
  const dot = (type: string, x: number, y: number) => {
    let batch = byType.get(type);
    if (!batch) byType.set(type, (batch = new Path2D()));
    batch.rect(x - 4, y - 4, 8, 8);
  };
  for (const place of shown) {
    for (const slot of place.inputs) dot(slot.type, place.x, place.y + slot.y);
    for (const slot of place.outputs) dot(slot.type, place.x + place.width, place.y + slot.y);
  }
  for (const [type, batch] of byType) {
    context.fillStyle = typeColor(type);
    context.fill(batch);
  }
}

const widths = new Map<string, string>();

/** As much of a text as fits. */
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

/** The link under a point of the canvas. */
export function linkAt(level: Level, around: Surroundings, point: Point, reach: number): LinkRecord | null {
  let best: LinkRecord | null = null;
  let nearest = reach;
  for (const { link, from, to } of linkPaths(level, around)) {
    const out = bend(from, to);
    if (point.x < Math.min(from.x, to.x) - out || point.x > Math.max(from.x, to.x) + out) continue;
    if (point.y < Math.min(from.y, to.y) - reach || point.y > Math.max(from.y, to.y) + reach) continue;
    for (let step = 0; step <= 32; step += 1) {
      const along = step / 32;
      const rest = 1 - along;
      const weights = [rest ** 3, 3 * rest * rest * along, 3 * rest * along * along, along ** 3] as const;
      const x = weights[0] * from.x + weights[1] * (from.x + out) + weights[2] * (to.x - out) + weights[3] * to.x;
      const y = (weights[0] + weights[1]) * from.y + (weights[2] + weights[3]) * to.y;
      const distance = Math.hypot(x - point.x, y - point.y);
      if (distance < nearest) [nearest, best] = [distance, link];
    }
  }
  return best;
}

/** The uppermost node under a point. */
export function nodeAt(level: Level, around: Surroundings, { x, y }: Point): string | null {
  const found = placedNodes(level).findLast((node) => {
    const place = geometry(node, around);
    return x >= place.x && y >= place.y && x <= place.x + place.width && y <= place.y + place.height;
  });
  return found ? String(found.id) : null;
}

export type GroupPart = { index: number; part: "title" | "corner" };

/** The title or the lower right corner of a group under a point. */
export function groupAt(level: Level, { x, y }: Point): GroupPart | null {
  const groups = level.groups ?? [];
  for (let index = groups.length - 1; index >= 0; index -= 1) {
    const [left, top, width, height] = (groups[index] as Group).bounding;
    if (x < left || x > left + width || y < top || y > top + height) continue;
    if (x > left + width - 18 && y > top + height - 18) return { index, part: "corner" };
    if (y < top + GROUP_TITLE) return { index, part: "title" };
  }
  return null;
}

/** The nodes whose middle is inside a group. */
export function membersOf(level: Level, around: Surroundings, group: Group): string[] {
  const [left, top, width, height] = group.bounding;
  return level.nodes.flatMap((node) => {
    const place = geometry(node, around);
    const [x, y] = [place.x + place.width / 2, place.y + place.height / 2];
    return x >= left && x <= left + width && y >= top && y <= top + height ? [String(node.id)] : [];
  });
}

export const isBoundary = (level: Level, id: string): boolean => {
  const boundary = boundaryOf(level);
  return boundary !== null && (id === boundary.input || id === boundary.output) && !nodesById(level).has(id);
};
