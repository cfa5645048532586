/** Commands on what is selected that need the canvas. */

import { addGroup, moveNodes } from "../graph/edits";
import { bounds, geometry, GRID } from "../graph/geometry";
import { position } from "../graph/document";
import { t } from "../i18n";
import { current, edit, fitView, levelOf, surroundings } from "./editor";

const MARGIN = 16;
const TITLE = 30;

export function groupSelected(): void {
  const { selection } = current();
  const around = surroundings();
  const chosen = levelOf(current()).nodes.filter((node) => selection.has(String(node.id)));
  const box = bounds(chosen.map((node) => geometry(node, around)));
  if (!box) return;
  const bounding: [number, number, number, number] = [box.x - MARGIN, box.y - MARGIN - TITLE, box.width + 2 * MARGIN, box.height + 2 * MARGIN + TITLE];
  edit((level) => addGroup(level, { title: t("menu.newGroup"), bounding, color: "#3f789e", font_size: 24, flags: {} }));
}

/** Lay out what is selected, or everything. */
export async function tidy(): Promise<void> {
  const { arranged } = await import("../graph/layout");
  const { selection } = current();
  const places = arranged(levelOf(current()), surroundings(), selection.size > 1 ? selection : undefined);
  edit((level) => moveNodes(level, places));
  if (selection.size <= 1) fitView();
}

export function alignToGrid(): void {
  const { selection } = current();
  const snap = (value: number) => Math.round(value / GRID) * GRID;
  edit((level) => {
    const chosen = level.nodes.filter((node) => !selection.size || selection.has(String(node.id)));
    return moveNodes(level, new Map(chosen.map((node) => [String(node.id), position(node).map(snap) as [number, number]])));
  });
}

