/** The keyboard. */

import { useEffect } from "react";
import { move, stage } from "../canvas/Canvas";
import { places } from "../canvas/painter";
import { BYPASSED, MUTED } from "../graph/document";
import { GRID, HEADER } from "../graph/geometry";
import { server } from "../server/client";
import { copySelected, current, deleteSelected, duplicateSelected, fitView, levelOf, redoStep, select, settleStep, surroundings, toggleCollapsed, toggleMode, undoStep } from "../state/editor";
import { save } from "../state/files";
import { run } from "../state/runs";
import { show, togglePanel, useUi } from "../state/ui";
import { groupSelected, tidy } from "../state/commands";

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
  target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && !["checkbox", "range", "color"].includes(target.type));

function press(event: KeyboardEvent): void {
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
    return void save();
  }
  if (command && key === "o") {
    done();
    return document.getElementById("open-file")?.click();
  }
  if (event.defaultPrevented || isTyping(event.target)) return;
  const { viewer, mask, shortcuts, menu, palette } = useUi.getState();
  if (key === "Escape") {
    if (menu || palette || shortcuts || viewer) show({ menu: null, palette: null, shortcuts: false, viewer: null });
    else select([]);
    return;
  }
  if (viewer || mask || shortcuts || palette) return;
  if (command) {
    if (key === "z") event.shiftKey ? redoStep() : undoStep();
    else if (key === "y") redoStep();
    else if (key === "a") select(levelOf(current()).nodes.map((node) => String(node.id)));
    else if (key === "d") duplicateSelected();
    else if (key === "g") groupSelected();
    else if (key === "m") toggleMode(MUTED);
    else if (key === "b") toggleMode(BYPASSED);
    else return;
    return done();
  }
  if (event.altKey) {
    if (key !== "c") return;
    toggleCollapsed();
    return done();
  }
  const onButton = event.target instanceof HTMLButtonElement;
  if (key === "Delete" || key === "Backspace") deleteSelected();
  else if (key === "/" || (key === " " && !onButton)) openPalette();
  else if (key === "?") show({ shortcuts: true });
  else if (key === ".") fitView();
  else if (key === "l") void tidy();
  else if (key === "w") togglePanel("start");
  else if (key === "g") togglePanel("gallery");
  else if (key === "q") togglePanel("queue");
  else if (key.startsWith("Arrow") && current().selection.size) nudge(key, event.shiftKey ? 10 * GRID : GRID);
  else return;
  done();
}

function nudge(key: string, distance: number): void {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
  const known = places(levelOf(current()), surroundings());
  const to = new Map<string, [number, number]>();
  for (const id of current().selection) {
    const place = known.get(id);
    if (place) to.set(id, [place.x + (dx as number) * distance, place.y + (place.look === "reroute" ? 0 : HEADER) + (dy as number) * distance]);
  }
  move(to);
  settleStep();
}

export function openPalette(): void {
  const x = window.innerWidth / 2 - 200;
  const y = window.innerHeight / 4;
  if (stage) show({ palette: { x, y, at: stage.middle(), from: null } });
}

function copy(event: ClipboardEvent): void {
  if (isTyping(event.target)) return;
  const text = copySelected();
  if (!text) return;
  event.clipboardData?.setData("text/plain", text);
  event.preventDefault();
}

function cut(event: ClipboardEvent): void {
  if (isTyping(event.target)) return;
  copy(event);
  if (event.defaultPrevented) deleteSelected();
}
