/** What of the editor itself is open: panels, dialogs, menus. */

import { create } from "zustand";
import type { Id } from "../document/document";
import type { FileRef } from "../server/client";
import type { Picture } from "./gallery";

export type Panel = "start" | "gallery" | "queue";

export interface Socket {
  node: string;
  side: "input" | "output";
  /** A slot, or the name of a widget without one. */
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
  /** Sockets that are there and fit come first. */
  sockets?: boolean;
  /** The node goes into this link. */
  onto?: Id;
}

/** A link on its way: some of its ends stay, the other is sought. */
export interface Pull {
  fixed: Socket[];
  seeks: "input" | "output";
  /** The links that it is made of; none: a new one. */
  links: Id[];
  /** The sockets that would take it, as `socketKey` says them. */
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
  mask: { file: FileRef; tab: string; node: string; widget: string } | null;
  renaming: { kind: "node"; id: string } | { kind: "group"; index: number } | null;
  settings: boolean;
  /** The subgraph's node whose fields are chosen. */
  fields: string | null;
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
  fields: null,
}));

export const show = (change: Partial<Ui>): void => useUi.setState(change);

export const togglePanel = (panel: Panel): void =>
  useUi.setState((state) => ({ panel: state.panel === panel ? null : panel }));
