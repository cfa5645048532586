/** What a drag does, depending on where it starts. Each gesture is one undo step. */

import { type Id, nodesById } from "../document/document";
import { changeGroup, resizeNode } from "../document/edits";
import { geometry, HEADER } from "../document/geometry";
import { moveReroutes, pointOf, reroutesById } from "../document/native_reroutes";
import { changeTab, current, edit, editContext, levelOf, select, settleStep } from "../state/editor";
import { carried, move, placed, shifted } from "../state/moving";
import { type Socket, show, socketKey } from "../state/ui";
import { boxed, type GroupPart } from "./hits";
import { type Stage, stage as theStage, zoomBy } from "./stage";
import { acceptingSocketAt, pullFrom, releaseLink, useWire } from "./wiring";

export interface Pointer {
  /** On the screen. */
  x: number;
  y: number;
  /** Shift, or Ctrl where it does not draw a selection box: adds to the selection. */
  many: boolean;
}

export interface Gesture {
  /** Called when the pointer has moved far enough for a drag, and on each further move. */
  drag(to: Pointer): void;
  drop(at: Pointer): void;
  /** Called if the pointer is released without a drag. */
  tap?(at: Pointer): void;
  /** Called on Escape or a second finger. */
  cancel(): void;
  /** Whether the view follows a pointer at its edge. */
  follows: boolean;
}

const stage = (): Stage => theStage as Stage;

/** Undoes the gesture as if it had never started. */
function rewinding(): () => void {
  const { id, history } = current();
  return () => changeTab((tab) => ({ ...tab, history }), id);
}

/** Moves everything that is selected together with the node or group under the pointer. */
export function moving(start: Pointer, on: { node: string } | { group: number }): Gesture {
  const { selection, groups } = current();
  const chosen = "node" in on ? selection.has(on.node) : groups.has(on.group);
  if (!chosen) {
    const kept = start.many ? { nodes: [...selection], groups: [...groups] } : { nodes: [], groups: [] };
    if ("node" in on) select([...kept.nodes, on.node], null, kept.groups);
    else select(kept.nodes, null, [...kept.groups, on.group]);
  }
  const before = carried(current().selection, current().groups);
  const anchor = "node" in on ? before.nodes.get(on.node) : before.groups.get(on.group);
  const [fromX, fromY] = stage().toCanvas(start.x, start.y);
  return {
    follows: true,
    drag(to) {
      const [toX, toY] = stage().toCanvas(to.x, to.y);
      const [x, y] = anchor ?? [0, 0];
      move(shifted(before, placed(x + toX - fromX) - x, placed(y + toY - fromY) - y));
    },
    drop: settleStep,
    tap() {
      if (!chosen) return;
      if (start.many) {
        if ("node" in on)
          select(
            [...selection].filter((id) => id !== on.node),
            null,
            groups,
          );
        else
          select(
            selection,
            null,
            [...groups].filter((index) => index !== on.group),
          );
      } else if ("node" in on) select([on.node]);
      else select([], null, [on.group]);
    },
    cancel: rewinding(),
  };
}

/** Moves a reroute point of links. */
export function movingReroute(start: Pointer, id: Id): Gesture {
  const before = reroutesById(levelOf(current())).get(String(id));
  const from = before ? pointOf(before) : { x: 0, y: 0 };
  const [fromX, fromY] = stage().toCanvas(start.x, start.y);
  return {
    follows: true,
    drag(to) {
      const [toX, toY] = stage().toCanvas(to.x, to.y);
      edit(
        (level) =>
          moveReroutes(level, new Map([[String(id), [placed(from.x + toX - fromX), placed(from.y + toY - fromY)]]])),
        "move",
      );
    },
    drop: settleStep,
    cancel: rewinding(),
  };
}

const GROUP_LEAST = { width: 80, height: 50 };

export function resizingGroup(start: Pointer, { index }: GroupPart): Gesture {
  const [x, y, width, height] = levelOf(current()).groups?.[index]?.bounding ?? [0, 0, 0, 0];
  const [fromX, fromY] = stage().toCanvas(start.x, start.y);
  return {
    follows: true,
    drag(to) {
      const [toX, toY] = stage().toCanvas(to.x, to.y);
      const [right, bottom] = [placed(x + width + toX - fromX), placed(y + height + toY - fromY)];
      const bounding: [number, number, number, number] = [
        x,
        y,
        Math.max(GROUP_LEAST.width, right - x),
        Math.max(GROUP_LEAST.height, bottom - y),
      ];
      edit((level) => changeGroup(level, index, { bounding }), "resize");
    },
    drop: settleStep,
    tap: () => select([], null, [index]),
    cancel: rewinding(),
  };
}

/** The size of a node in the form that files store. */
export function sizeOf(id: string): [number, number] | null {
  const node = nodesById(levelOf(current())).get(id);
  if (!node) return null;
  const { width, height } = geometry(node, editContext());
  return [width, height - HEADER];
}

/** Limits the size to what the node's rows need. A node without text or picture keeps its height. */
export function resizeTo(id: string, width: number, height: number): void {
  const node = nodesById(levelOf(current())).get(id);
  if (!node) return;
  const { least, stretches } = geometry(node, editContext());
  if (!least) return;
  const tall = stretches ? Math.max(least.height, height) : least.height;
  edit((level) => resizeNode(level, id, [Math.max(least.width, Math.round(width)), Math.round(tall)]), "resize");
}

export function resizingNode(start: Pointer, id: string): Gesture {
  const size = sizeOf(id) ?? [0, 0];
  const [fromX, fromY] = stage().toCanvas(start.x, start.y);
  return {
    follows: false,
    drag(to) {
      const [toX, toY] = stage().toCanvas(to.x, to.y);
      resizeTo(id, placed(size[0] + toX - fromX), placed(size[1] + toY - fromY));
    },
    drop: settleStep,
    cancel: rewinding(),
  };
}

/** Shift-drag from an output moves all of its links. */
export function wiring(start: Pointer, socket: Socket): Gesture {
  const pull = pullFrom(socket, start.many);
  const end = () => {
    show({ connecting: null });
    useWire.setState({ to: null, over: null });
  };
  return {
    follows: true,
    drag(to) {
      const [x, y] = stage().toCanvas(to.x, to.y);
      const taker = acceptingSocketAt(pull, { x, y });
      show({ connecting: pull });
      useWire.setState({
        to: taker ? taker.at : { x, y },
        over: taker ? socketKey(taker.node, taker.side, taker.slot) : null,
      });
    },
    drop(at) {
      end();
      releaseLink(pull, at.x, at.y);
    },
    cancel: end,
  };
}

export function boxing(
  start: Pointer,
  frame: (box: { x: number; y: number; width: number; height: number } | null) => void,
): Gesture {
  const { selection, groups } = current();
  const [fromX, fromY] = stage().toCanvas(start.x, start.y);
  return {
    follows: true,
    drag(to) {
      const [toX, toY] = stage().toCanvas(to.x, to.y);
      const box = {
        x: Math.min(fromX, toX),
        y: Math.min(fromY, toY),
        width: Math.abs(toX - fromX),
        height: Math.abs(toY - fromY),
      };
      frame(box);
      const found = boxed(levelOf(current()), editContext(), box);
      select([...selection, ...found.nodes], null, [...groups, ...found.groups]);
    },
    drop: () => frame(null),
    tap: () => undefined, // keep the selection
    cancel() {
      frame(null);
      select(selection, null, groups);
    },
  };
}

/** Pans with one finger on the empty canvas. */
export function panning(start: Pointer): Gesture {
  const before = stage().view;
  return {
    follows: false,
    drag: (to) => stage().setView({ ...before, x: before.x + to.x - start.x, y: before.y + to.y - start.y }),
    drop: () => undefined,
    cancel: () => undefined,
  };
}

/** Two fingers zoom around their midpoint and pan with it. `left`, `top`: position of the canvas on the screen. */
export function pinching(
  first: Pointer,
  second: Pointer,
  left: number,
  top: number,
): (first: Pointer, second: Pointer) => void {
  const between = (one: Pointer, other: Pointer) => ({
    x: (one.x + other.x) / 2,
    y: (one.y + other.y) / 2,
    apart: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)),
  });
  let last = between(first, second);
  return (one, other) => {
    const now = between(one, other);
    const { view } = stage();
    stage().setView({ ...view, x: view.x + now.x - last.x, y: view.y + now.y - last.y });
    zoomBy(now.apart / last.apart, [now.x - left, now.y - top]);
    last = now;
  };
}
