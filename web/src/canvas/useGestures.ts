/** Pointer input on the canvas: mouse, pen and fingers start the same gestures. React Flow pans with the mouse. */

import { useEffect } from "react";
import { linkAt, rerouteAt } from "../document/links";
import { current, editContext, levelOf, select } from "../state/editor";
import { type Socket, show, type Target, useUi } from "../state/ui";
import {
  boxing,
  type Gesture,
  moving,
  movingReroute,
  type Pointer,
  panning,
  pinching,
  resizingGroup,
  resizingNode,
  wiring,
} from "./gestures";
import { groupAt, nodeAt } from "./hits";
import { stage } from "./stage";
import { paintedSocketAt, socketOf } from "./wiring";

const SLOP = { mouse: 3, touch: 8 };
const LONG_PRESS = 500;
const EDGE = 36;
const EDGE_SPEED = 14;
/** Distance on the screen within which a pointer hits a painted reroute point. */
const POINT_REACH = 8;
/** Fields and buttons handle the pointer themselves. */
const OWN_HANDLING = ".nodrag, input, textarea, select, button";

interface Active {
  gesture: Gesture;
  pointer: number;
  start: Pointer;
  dragging: boolean;
  slop: number;
  last: Pointer;
}

export const useGestures = (
  wrapper: React.RefObject<HTMLDivElement | null>,
  frame: Parameters<typeof boxing>[1],
): void =>
  useEffect(() => {
    const element = wrapper.current as HTMLDivElement;
    const fingers = new Map<number, Pointer>();
    let active: Active | null = null;
    let pinch: ReturnType<typeof pinching> | null = null;
    let press = 0;
    let following = 0;

    const pointerOf = (event: PointerEvent): Pointer => ({
      x: event.clientX,
      y: event.clientY,
      many: event.shiftKey || event.ctrlKey || event.metaKey,
    });

    const stop = (how: "cancel" | "done") => {
      const ended = active;
      active = null;
      window.clearTimeout(press);
      cancelAnimationFrame(following);
      following = 0;
      if (ended?.dragging && how === "cancel") ended.gesture.cancel();
      return ended;
    };

    // Focus from a pointer needs no focus ring and does not select the element.
    const led = (by: "pointer" | "keys") => (element.dataset.led = by);

    const down = (event: PointerEvent) => {
      led("pointer");
      const touch = event.pointerType === "touch";
      const at = pointerOf(event);
      if (touch) {
        fingers.set(event.pointerId, at);
        if (fingers.size === 2) {
          stop("cancel");
          const { left, top } = element.getBoundingClientRect();
          const [first, second] = [...fingers.values()] as [Pointer, Pointer];
          pinch = pinching(first, second, left, top);
        }
        if (fingers.size > 1) return event.preventDefault();
      }
      if (event.button !== 0 || active) return;
      const gesture = begun(event.target as HTMLElement, at, touch, frame);
      if (!gesture) return;
      event.preventDefault(); // prevents selecting text and panning by React Flow
      focusOn(event.target as HTMLElement);
      active = {
        gesture,
        pointer: event.pointerId,
        start: at,
        last: at,
        dragging: false,
        slop: touch ? SLOP.touch : SLOP.mouse,
      };
      if (touch) press = window.setTimeout(() => longPress(event.target as HTMLElement, at), LONG_PRESS);
    };

    const longPress = (target: HTMLElement, at: Pointer) => {
      if (!active || active.dragging) return;
      stop("cancel");
      openMenu(target, at.x, at.y);
    };

    const moved = (event: PointerEvent) => {
      const at = pointerOf(event);
      if (fingers.has(event.pointerId)) fingers.set(event.pointerId, at);
      if (pinch && fingers.size === 2) return pinch(...([...fingers.values()] as [Pointer, Pointer]));
      if (active?.pointer !== event.pointerId) return;
      if (!active.dragging && Math.hypot(at.x - active.start.x, at.y - active.start.y) < active.slop) return;
      active.dragging = true;
      active.last = at;
      window.clearTimeout(press);
      active.gesture.drag(at);
      if (active.gesture.follows && !following) following = requestAnimationFrame(follow);
    };

    /** Scrolls the view while the pointer is held at its edge. */
    const follow = () => {
      following = 0;
      if (!active?.dragging || !stage) return;
      const box = element.getBoundingClientRect();
      const push = (value: number, from: number, to: number) =>
        value < from + EDGE
          ? Math.min(EDGE, from + EDGE - value)
          : value > to - EDGE
            ? -Math.min(EDGE, value - to + EDGE)
            : 0;
      const [dx, dy] = [push(active.last.x, box.left, box.right), push(active.last.y, box.top, box.bottom)];
      if (!dx && !dy) return;
      const { view } = stage;
      stage.setView({ ...view, x: view.x + (dx / EDGE) * EDGE_SPEED, y: view.y + (dy / EDGE) * EDGE_SPEED });
      active.gesture.drag(active.last);
      following = requestAnimationFrame(follow);
    };

    const up = (event: PointerEvent) => {
      fingers.delete(event.pointerId);
      if (fingers.size < 2) pinch = null;
      if (active?.pointer !== event.pointerId) return;
      const at = pointerOf(event);
      const ended = stop("done") as Active;
      if (event.type === "pointercancel") return ended.dragging ? ended.gesture.cancel() : undefined;
      if (ended.dragging) ended.gesture.drop(at);
      else ended.gesture.tap?.(at);
      if (ended.dragging || ended.gesture.tap) withoutClick();
    };

    /** The click that follows belongs to the gesture; React Flow would clear the selection. */
    const withoutClick = () => {
      const swallow = (event: MouseEvent) => event.stopPropagation();
      element.addEventListener("click", swallow, { capture: true, once: true });
      window.setTimeout(() => element.removeEventListener("click", swallow, { capture: true }));
    };

    const keyDown = (event: KeyboardEvent) => {
      led("keys");
      if (event.key !== "Escape" || !active?.dragging) return;
      event.stopPropagation();
      stop("cancel");
    };

    // The editor handles all touches: React Flow would pan under a node that a finger drags.
    const fingerDown = (event: TouchEvent) => event.stopPropagation();

    element.addEventListener("pointerdown", down, { capture: true });
    element.addEventListener("touchstart", fingerDown, { capture: true, passive: true });
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", up);
    window.addEventListener("pointercancel", up);
    window.addEventListener("keydown", keyDown, { capture: true });
    return () => {
      element.removeEventListener("pointerdown", down, { capture: true });
      element.removeEventListener("touchstart", fingerDown, { capture: true });
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", up);
      window.removeEventListener("pointercancel", up);
      window.removeEventListener("keydown", keyDown, { capture: true });
    };
  }, [wrapper, frame]);

function begun(target: HTMLElement, at: Pointer, touch: boolean, frame: Parameters<typeof boxing>[1]): Gesture | null {
  if (!stage || useUi.getState().mask) return null;
  const node = target.closest<HTMLElement>(".react-flow__node")?.dataset.id;
  const socket = socketUnder(target);
  if (socket) return wiring(at, socket);
  if (node && target.closest(".node-resize")) return resizingNode(at, node);
  if (node) return target.closest(OWN_HANDLING) ? null : moving(at, { node });
  const point = target.closest<HTMLElement>(".reroute-point")?.dataset.reroute;
  if (point !== undefined) return movingReroute(at, point);
  if (!target.classList.contains("react-flow__pane")) return null;
  const [x, y] = stage.toCanvas(at.x, at.y);
  const level = levelOf(current());
  const paintedPoint = stage.far ? rerouteAt(level, editContext(), { x, y }, POINT_REACH / stage.view.zoom) : undefined;
  if (paintedPoint) return movingReroute(at, paintedPoint.id);
  const painted = stage.far ? paintedSocketAt(level, editContext(), { x, y }, stage.view.zoom) : null;
  if (painted) return wiring(at, painted);
  const far = stage.far ? nodeAt(level, editContext(), { x, y }) : null;
  if (far) return moving(at, { node: far });
  const group = groupAt(level, { x, y }, touch ? 30 / Math.min(1, stage.view.zoom) : undefined);
  if (group?.part === "title") return moving(at, { group: group.index });
  if (at.many) return boxing(at, frame);
  if (group) return resizingGroup(at, group);
  return touch ? panning(at) : null;
}

/** The socket that an element represents. */
export function socketUnder(target: HTMLElement): Socket | null {
  const element = target.closest<HTMLElement>(".socket");
  const node = element?.closest<HTMLElement>(".react-flow__node")?.dataset.id;
  if (!element || !node) return null;
  const { side, slot, field } = element.dataset;
  return socketOf(node, side as Socket["side"], slot === undefined ? (field as string) : Number(slot)) ?? null;
}

/** Leaves the field being edited, so that keys apply to the element under the pointer. */
function focusOn(target: HTMLElement): void {
  (document.activeElement as HTMLElement | null)?.blur?.();
  target.closest<HTMLElement>(".socket, .node, .reroute, .reroute-point")?.focus({ preventScroll: true });
}

/** The target at a position on the screen. */
export function targetAt(element: HTMLElement, x: number, y: number): Target {
  const node = element.closest<HTMLElement>(".react-flow__node");
  if (node)
    return {
      kind: "node",
      id: node.dataset.id as string,
      widget: element.closest<HTMLElement>("[data-widget]")?.dataset.widget,
    };
  const [at, down] = stage?.toCanvas(x, y) ?? [0, 0];
  const point = { x: at, y: down };
  const level = levelOf(current());
  const around = editContext();
  const onPoint =
    element.closest<HTMLElement>(".reroute-point")?.dataset.reroute ??
    (stage?.far ? rerouteAt(level, around, point, POINT_REACH / stage.view.zoom)?.id : undefined);
  if (onPoint !== undefined) return { kind: "reroute", id: onPoint };
  const far = stage?.far ? nodeAt(level, around, point) : null;
  if (far) return { kind: "node", id: far };
  const link = linkAt(level, around, point, 8 / (stage?.view.zoom ?? 1));
  if (link) return { kind: "link", id: link.id };
  const group = groupAt(level, point);
  return group ? { kind: "group", index: group.index } : { kind: "canvas" };
}

export function openMenu(element: HTMLElement, x: number, y: number): void {
  const target = targetAt(element, x, y);
  if (target.kind === "node" && !current().selection.has(target.id)) select([target.id]);
  if (target.kind === "link") select([], target.id);
  if (target.kind === "group" && !current().groups.has(target.index)) select([], null, [target.index]);
  show({ menu: { x, y, at: stage?.toCanvas(x, y) ?? [0, 0], target } });
}
