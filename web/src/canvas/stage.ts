/** The view of the canvas, for commands and gestures outside its components. */

import type { Level } from "../document/document";
import { bounds } from "../document/geometry";
import { places } from "../document/links";
import { pointOf, reroutesById } from "../document/native_reroutes";
import type { EditContext } from "../document/widget_views";
import { pictureInput } from "../state/commands";
import type { View } from "../state/editor";
import { takePicturesWith } from "../state/picture_target";

export const MIN_ZOOM = 0.04;
export const MAX_ZOOM = 2.5;

export interface Stage {
  view: View;
  /** The target of a moving view; equal to `view` when it does not move. */
  aim: View;
  setView(view: View, animate?: boolean): void;
  /** Converts a position on the screen. */
  toCanvas(x: number, y: number): [number, number];
  toScreen(x: number, y: number): [number, number];
  size: { width: number; height: number };
  /** Centre of the visible area, on the canvas. */
  middle(): [number, number];
  /** Last position of the pointer over the canvas, on the canvas; null: it is elsewhere. */
  pointer: [number, number] | null;
  /** Whether nodes are painted and none is built of elements. */
  far: boolean;
  repaint(): void;
  /** Paint and build nearby elements immediately instead of in the next frame. */
  paintNow(): void;
}

/** The only stage. */
export let stage: Stage | null = null;

export function setStage(next: Stage | null): void {
  stage = next;
  takePicturesWith(next && (() => pictureInput(next.middle())));
}

const EDGE = 36;
/** The toolbar at the bottom of the canvas. */
const FOOT = 40;

/** A view that shows everything. */
export function wholeView(level: Level, env: EditContext, { width, height }: { width: number; height: number }): View {
  const groups = (level.groups ?? []).map(({ bounding: [x, y, w, h] }) => ({ x, y, width: w, height: h }));
  const points = [...reroutesById(level).values()].map((reroute) => ({ ...pointOf(reroute), width: 0, height: 0 }));
  const box = bounds([...places(level, env).values(), ...groups, ...points]);
  if (!box) return { x: 80, y: 80, zoom: 1 };
  const zoom = Math.max(MIN_ZOOM, Math.min(1, (width - 2 * EDGE) / box.width, (height - 2 * EDGE - FOOT) / box.height));
  return { x: (width - box.width * zoom) / 2 - box.x * zoom, y: (height - box.height * zoom) / 2 - box.y * zoom, zoom };
}

/** Zoom by a factor around a point of the canvas element (default: its centre). */
export function zoomBy(factor: number, about?: [number, number], animate = false): void {
  if (!stage) return;
  const { x, y, zoom } = animate ? stage.aim : stage.view; // a second press during the movement counts fully
  const [aboutX, aboutY] = about ?? [stage.size.width / 2, stage.size.height / 2];
  const after = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, zoom * factor));
  const ratio = after / zoom;
  stage.setView({ zoom: after, x: aboutX - (aboutX - x) * ratio, y: aboutY - (aboutY - y) * ratio }, animate);
}

/** Move the view so that a box of the canvas is visible, if it is not. */
export function keepInView(box: { x: number; y: number; width: number; height: number }): void {
  if (!stage) return;
  const { view, size } = stage;
  const margin = 24;
  const [left, top] = [box.x * view.zoom + view.x, box.y * view.zoom + view.y];
  const [width, height] = [box.width * view.zoom, box.height * view.zoom];
  const shift = (from: number, length: number, room: number) => {
    if (from < margin) return margin - from;
    return from + length > room - margin ? Math.max(margin - from, room - margin - from - length) : 0;
  };
  const [dx, dy] = [shift(left, width, size.width), shift(top, height, size.height)];
  if (dx || dy) stage.setView({ zoom: view.zoom, x: view.x + dx, y: view.y + dy });
}
