/** Over the canvas by keyboard: from node to node, into one, and from socket to socket. */

import { flushSync } from "react-dom";
import { places } from "../canvas/links";
import { keepInView, stage } from "../canvas/stage";
import { socketUnder } from "../canvas/useGestures";
import { linksAt, unlink } from "../canvas/wiring";
import { deleteReroutes, moveReroutes, pointOf, reroutesById } from "../document/native_reroutes";
import { AHEAD, type Direction, linkedNodes, nearest, neighbour } from "../document/walking";
import { announce } from "../state/announce";
import { current, edit, levelOf, select, surroundings } from "../state/editor";
import { show } from "../state/ui";

const article = (id: string): HTMLElement | null =>
  document.querySelector(`.react-flow__node[data-id="${CSS.escape(id)}"] > article`);

/** Put the keyboard on a node; on the canvas where the node is painted, too small to be built of elements. */
export function focusNode(id: string): void {
  flushSync(() => undefined); // it may have been added just now
  flushSync(() => stage?.paintNow());
  (article(id) ?? document.querySelector<HTMLElement>(".canvas"))?.focus({ preventScroll: true });
}

/** Select a node, bring it into view, and put the focus on it. */
export function goTo(id: string): void {
  const place = places(levelOf(current()), surroundings()).get(id);
  if (!place) return;
  // All of it before the next key: a focus that comes later would be taken from where that key went.
  flushSync(() => {
    select([id]);
    keepInView(place);
  });
  focusNode(id);
  announce("say.node", {
    title: place.title,
    inputs: place.inputs.length + place.widgets.length,
    outputs: place.outputs.length,
  });
}

/** To the neighbour in a direction, or to the middle of what is seen. */
export function walk(direction: Direction): void {
  const known = places(levelOf(current()), surroundings());
  const [from] = current().selection;
  const [x, y] = stage?.middle() ?? [0, 0];
  const to = from === undefined ? nearest(known, { x, y }) : neighbour(known, from, direction);
  if (to !== null) goTo(to);
}

/** Which link was taken last, by node and side. */
const taken = new Map<string, number>();

/** Along a link; the same key again from the same node goes along the next. */
export function follow(side: "before" | "after"): void {
  const [from] = current().selection;
  if (from === undefined) return walk("right");
  const found = linkedNodes(levelOf(current()), from, side);
  if (!found.length) return announce(side === "before" ? "say.firstNode" : "say.lastNode");
  const key = `${current().id}/${from}/${side}`;
  const at = ((taken.get(key) ?? -1) + 1) % found.length;
  taken.set(key, at);
  goTo(found[at] as string);
}

const INSIDE = "textarea, input, select, .choice, .loaded-picture-tools button, .socket";

/** From the node that is selected to its first field, or its first socket. */
export function enter(): boolean {
  const [id] = current().selection;
  const node = id === undefined ? null : article(id);
  const first =
    node &&
    (node.querySelector<HTMLElement>(".widget :is(textarea, input, select, button)") ??
      node.querySelector<HTMLElement>(INSIDE));
  first?.focus();
  if (first instanceof HTMLInputElement) first.select(); // at once: a frame later a typed key could be overwritten
  return Boolean(first);
}

/** Back from a field or socket to its node. */
export function leave(target: HTMLElement): boolean {
  const node = target.closest<HTMLElement>(".node, .reroute");
  if (!node || node === target) return false;
  node.focus({ preventScroll: true });
  return true;
}

/** What keys do on a socket. */
export function pressOnSocket(target: HTMLElement, key: string): boolean {
  const socket = socketUnder(target);
  if (!socket) return false;
  if (key === "Enter" || key === " " || key === "l") {
    const { right, top } = target.getBoundingClientRect();
    show({
      palette: { x: right + 30, y: top, at: stage?.toCanvas(right + 60, top) ?? [0, 0], from: socket, sockets: true },
    });
    return true;
  }
  const links = linksAt(socket);
  if ((key !== "Delete" && key !== "Backspace") || !links.length) return false;
  unlink(links);
  return true;
}

/** What keys do on a point that links are led through. */
export function pressOnReroute(
  target: HTMLElement,
  key: string,
  direction: Direction | undefined,
  distance: number,
): boolean {
  const id = target.closest<HTMLElement>(".reroute-point")?.dataset.reroute;
  const reroute = id === undefined ? undefined : reroutesById(levelOf(current())).get(id);
  if (id === undefined || !reroute) return false;
  if (key === "Delete" || key === "Backspace") {
    edit((level) => deleteReroutes(level, new Set([id])));
    announce("say.deleted", { count: 1 });
    return true;
  }
  if (!direction) return false;
  const { x, y } = pointOf(reroute);
  const [dx, dy] = AHEAD[direction];
  edit((level) => moveReroutes(level, new Map([[id, [x + dx * distance, y + dy * distance]]])), "nudge");
  return true;
}

/** The menu of what is selected, beside it, or that of the canvas. */
export function openMenuByKey(): void {
  const [id] = current().selection;
  const place = id === undefined ? undefined : places(levelOf(current()), surroundings()).get(id);
  if (!stage) return;
  const at: [number, number] = place ? [place.x + place.width / 2, place.y + 20] : stage.middle();
  const [x, y] = stage.toScreen(...at);
  const [index] = current().groups;
  const target = place
    ? ({ kind: "node", id: id as string } as const)
    : index !== undefined
      ? ({ kind: "group", index } as const)
      : ({ kind: "canvas" } as const);
  show({ menu: { x, y, at, target } });
}
