/** What of the editor itself is open: panels, dialogs, menus. */

import { create } from "zustand";
import type { FileRef } from "../server/client";
import type { Id } from "../graph/document";

export type Panel = "start" | "gallery" | "queue";
export type Theme = "auto" | "light" | "dark";

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
}

export type Target =
  | { kind: "node"; id: string; widget?: string }
  | { kind: "group"; index: number }
  | { kind: "link"; id: Id }
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
  connecting: Socket | null;
  shortcuts: boolean;
  viewer: { pictures: FileRef[]; index: number } | null;
  mask: { file: FileRef; tab: string; node: string; widget: string } | null;
  renaming: { kind: "node"; id: string } | { kind: "group"; index: number } | null;
  minimap: boolean;
  theme: Theme;
}

export const useUi = create<Ui>(() => ({
  panel: null,
  palette: null,
  menu: null,
  connecting: null,
  shortcuts: false,
  viewer: null,
  mask: null,
  renaming: null,
  minimap: localStorage.getItem("sumi.minimap") !== "off",
  theme: (localStorage.getItem("sumi.theme") as Theme | null) ?? "auto",
}));

export const show = (change: Partial<Ui>): void => useUi.setState(change);

export const togglePanel = (panel: Panel): void =>
  useUi.setState((state) => ({ panel: state.panel === panel ? null : panel }));

export function setTheme(theme: Theme): void {
  localStorage.setItem("sumi.theme", theme);
  useUi.setState({ theme });
}

export function toggleMinimap(): void {
  useUi.setState(({ minimap }) => {
    localStorage.setItem("sumi.minimap", minimap ? "off" : "on");
    return { minimap: !minimap };
  });
}
