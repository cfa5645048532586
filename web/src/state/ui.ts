/** Which panels, dialogs and menus are open. */

import { create } from "zustand";
import type { Id } from "../document/document";
import type { Place } from "../format/sweep_fields";
import type { FileRef } from "../server/client";
import type { Picture } from "./gallery";

export type Panel = "start" | "gallery" | "queue" | "help" | "missing" | "models";

export interface Socket {
  node: string;
  side: "input" | "output";
  /** A slot, or the name of a widget without a slot. */
  slot: number | string;
  type: string;
}

export interface Palette {
  /** On the screen, where it opens. */
  x: number;
  y: number;
  /** On the canvas, where the node goes. */
  at: [number, number];
  /** Only nodes that fit this; null: all. */
  from: Socket | null;
  /** Matching existing sockets are listed first. */
  sockets?: boolean;
  /** The node is inserted into this link. */
  onto?: Id;
}

/** A link being drawn: one end is fixed, the other follows the pointer. */
export interface Pull {
  fixed: Socket[];
  seeks: "input" | "output";
  /** The existing links being moved; empty: a new link. */
  links: Id[];
  /** The sockets that would accept it, by `socketKey`. */
  takers: ReadonlySet<string>;
}

export const socketKey = (node: string, side: "input" | "output", slot: number | string): string =>
  `${node}/${side}/${slot}`;

export type Target =
  | { kind: "node"; id: string; widget?: string }
  | { kind: "group"; index: number }
  | { kind: "link"; id: Id }
  | { kind: "reroute"; id: Id }
  | { kind: "canvas" };

export interface Menu {
  x: number;
  y: number;
  at: [number, number];
  target: Target;
}

interface Ui {
  panel: Panel | null;
  palette: Palette | null;
  menu: Menu | null;
  connecting: Pull | null;
  /** The link under the pointer. */
  hovered: Id | null;
  shortcuts: boolean;
  viewer: { pictures: readonly Picture[]; index: number } | null;
  mask: { file: FileRef; tab: string; node: string; widget: string; path?: readonly string[] } | null;
  renaming: { kind: "node"; id: string } | { kind: "group"; index: number } | null;
  settings: boolean;
  /** The list of undo steps is open. */
  history: boolean;
  /** Whether the lesson's text is shown beside a lesson's workflow. */
  lesson: boolean;
  /** The subgraph's node whose fields are being chosen. */
  fields: string | null;
  /** The node that the help panel describes, and the field or output that it points at. */
  help: { type: string; part?: string } | null;
  /** The first field of the sweep that is being set up. */
  sweep: Place | null;
}

export const useUi = create<Ui>(() => ({
  panel: null,
  palette: null,
  menu: null,
  connecting: null,
  hovered: null,
  shortcuts: false,
  viewer: null,
  mask: null,
  renaming: null,
  settings: false,
  history: false,
  lesson: true,
  fields: null,
  help: null,
  sweep: null,
}));

export const show = (change: Partial<Ui>): void => useUi.setState(change);

/** Close the panel where it covers the canvas, to show something there. */
export const uncoverCanvas = (): void => {
  if (window.matchMedia("(width < 640px)").matches) show({ panel: null });
};

export const togglePanel = (panel: Panel): void =>
  useUi.setState((state) => ({ panel: state.panel === panel ? null : panel }));
