/** Handles keyboard shortcuts. */

import { useEffect } from "react";
import { resizeTo, sizeOf } from "../canvas/gestures";
import { stage, zoomBy } from "../canvas/stage";
import { BYPASSED, MUTED } from "../document/document";
import { GRID } from "../document/geometry";
import { AHEAD, type Direction } from "../document/walking";
import { server } from "../server/client";
import { announce } from "../state/announce";
import { groupSelected, tidy } from "../state/commands";
import { useQuestions } from "../state/dialogs";
import {
  copySelected,
  current,
  deleteSelected,
  duplicateSelected,
  fitView,
  levelOf,
  redoStep,
  select,
  settleStep,
  toggleApp,
  toggleCollapsed,
  toggleMode,
  undoStep,
} from "../state/editor";
import { about, openHelp } from "../state/help";
import { save } from "../state/library";
import { carried, move, shifted } from "../state/moving";
import { leaveTo } from "../state/subgraph_commands";
import { run } from "../state/submission";
import { show, togglePanel, useUi } from "../state/ui";
import { partOf } from "./Tips";
import {
  enter,
  focusNode,
  follow,
  leave,
  openMenuByKey,
  pressOnReroute,
  pressOnSocket,
  selectNextGroup,
  walk,
} from "./walking";

export function useKeys(): void {
  useEffect(() => {
    window.addEventListener("keydown", press);
    window.addEventListener("copy", copy);
    window.addEventListener("cut", cut);
    return () => {
      window.removeEventListener("keydown", press);
      window.removeEventListener("copy", copy);
      window.removeEventListener("cut", cut);
    };
  }, []);
}

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement ||
  (target instanceof HTMLInputElement && !["checkbox", "range", "color"].includes(target.type));

function press(event: KeyboardEvent): void {
  if (useQuestions.getState().asked.length) return; // the open dialog handles the keys
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const done = () => event.preventDefault();
  if (command && key === "Enter") {
    done();
    if (event.altKey) return void server.interrupt();
    (document.activeElement as HTMLElement | null)?.blur?.();
    return void run(event.shiftKey);
  }
  if (command && key === "s") {
    done();
    return void save(current(), event.shiftKey);
  }
  if (command && key === ",") {
    done();
    return show({ settings: true });
  }
  if (command && key === "o") {
    done();
    return document.getElementById("open-file")?.click();
  }
  const target = event.target as HTMLElement;
  if (key === "F1") {
    done();
    return helpFor(target);
  }
  if (key === "Escape" && !event.defaultPrevented && leave(target)) return;
  if (event.defaultPrevented || isTyping(event.target)) return;
  const { viewer, mask, shortcuts, settings, history, fields, menu, palette } = useUi.getState();
  if (key === "Escape") {
    if (menu || palette || shortcuts || viewer) show({ menu: null, palette: null, shortcuts: false, viewer: null });
    else if (!current().app) stepBack();
    return;
  }
  if (viewer || mask || shortcuts || settings || history || fields !== null || palette) return;
  if (current().app) {
    if (command && key === "z") event.shiftKey ? again() : back();
    else if (command && key === "y") again();
    else if (command || event.altKey || !pressAnywhere(key)) return;
    return done();
  }
  const arrow = ARROWS[key];
  if (command) {
    if (key === "z") event.shiftKey ? again() : back();
    else if (key === "y") again();
    else if (arrow) walk(arrow);
    else if (key === "a") select(levelOf(current()).nodes.map((node) => String(node.id)));
    else if (key === "d") duplicateSelected();
    else if (key === "g") groupSelected();
    else if (key === "m") toggleMode(MUTED);
    else if (key === "b") toggleMode(BYPASSED);
    else return;
    return done();
  }
  if (event.altKey) {
    if (key === "c") toggleCollapsed();
    else if (arrow) resize(arrow, event.repeat);
    else return;
    return done();
  }
  const onButton = event.target instanceof HTMLButtonElement;
  const chosen = current().selection.size + current().groups.size;
  const far = event.shiftKey ? 10 * GRID : GRID;
  if (arrow && !event.repeat) settleStep(); // repeated key events form one undo step
  if (pressOnSocket(target, key) || pressOnReroute(target, key, arrow, far)) return done();
  if (key === "Enter") {
    if (onButton || !enter()) return;
  } else if (key === "ContextMenu" || (key === "F10" && event.shiftKey)) openMenuByKey();
  else if (key === "F2") rename();
  else if (key === "[" || key === "]") follow(key === "[" ? "before" : "after");
  else if (key === "+" || key === "=" || key === "-") zoomBy(key === "-" ? 1 / 1.3 : 1.3, undefined, true);
  else if (key === "Delete" || key === "Backspace") deleteChosen();
  else if (key === "/" || (key === " " && !onButton)) openPalette();
  else if (key === ".") fitView();
  else if (key === "l") void tidy();
  else if (key === "g" && event.shiftKey) selectNextGroup();
  else if (pressAnywhere(key)) return done();
  else if (arrow && chosen) nudge(arrow, far);
  else if (arrow && !onButton) walk(arrow);
  else return;
  done();
}

/** Open the help panel at the field or node with the focus, or at the selected node. */
function helpFor(target: HTMLElement): void {
  const focused = target.closest<HTMLElement>(".react-flow__node")?.dataset.id;
  const id = focused ?? [...current().selection][0];
  const found = id === undefined ? null : about(id, focused ? partOf(target) : {});
  if (found) openHelp(found.type, found.part);
  else togglePanel("help");
}

/** The keys that work in both views. */
function pressAnywhere(key: string): boolean {
  if (key === "w") togglePanel("start");
  else if (key === "g") togglePanel("gallery");
  else if (key === "q") togglePanel("queue");
  else if (key === "m") togglePanel("models");
  else if (key === "a") toggleApp();
  else if (key === "?") show({ shortcuts: true });
  else return false;
  return true;
}

/** Deselect; if nothing is selected, leave the subgraph. */
function stepBack(): void {
  const { selection, groups, link, path } = current();
  const holder = path.at(-1)?.holder;
  if (selection.size || groups.size || link !== null || holder === undefined) return select([]);
  leaveTo(path.length - 1);
  focusNode(holder);
}

const ARROWS: Partial<Record<string, Direction>> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};

function nudge(direction: Direction, distance: number): void {
  const [dx, dy] = AHEAD[direction];
  move(shifted(carried(current().selection, current().groups), dx * distance, dy * distance), "nudge");
}

function resize(direction: Direction, held: boolean): void {
  if (!held) settleStep();
  const [dx, dy] = AHEAD[direction];
  for (const id of current().selection) {
    const size = sizeOf(id);
    if (size) resizeTo(id, size[0] + dx * GRID, size[1] + dy * GRID);
  }
}

function rename(): void {
  const [id] = current().selection;
  const [index] = current().groups;
  if (id !== undefined) show({ renaming: { kind: "node", id } });
  else if (index !== undefined) show({ renaming: { kind: "group", index } });
}

function deleteChosen(): void {
  const { selection, groups, link } = current();
  if (link !== null) announce("say.unlinked", { count: 1 });
  else if (selection.size + groups.size) announce("say.deleted", { count: selection.size + groups.size });
  deleteSelected();
}

function back(): void {
  undoStep();
  announce("app.undo");
}

function again(): void {
  redoStep();
  announce("app.redo");
}

export function openPalette(): void {
  const x = window.innerWidth / 2 - 200;
  const y = window.innerHeight / 4;
  if (stage) show({ palette: { x, y, at: stage.middle(), from: null } });
}

function copy(event: ClipboardEvent): void {
  if (isTyping(event.target) || current().app) return;
  const text = copySelected();
  if (!text) return;
  event.clipboardData?.setData("text/plain", text);
  event.preventDefault();
}

function cut(event: ClipboardEvent): void {
  if (isTyping(event.target) || current().app) return;
  copy(event);
  if (event.defaultPrevented) deleteSelected();
}
