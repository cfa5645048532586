/** Moves around the canvas by keyboard: from node to node, into a node, and from socket to socket. */

import { flushSync } from "react-dom";
import { keepInView, stage } from "../canvas/stage";
import { socketUnder } from "../canvas/useGestures";
import { linksAt, unlink } from "../canvas/wiring";
import { places } from "../document/links";
import { deleteReroutes, moveReroutes, pointOf, reroutesById } from "../document/native_reroutes";
import { AHEAD, type Direction, linkedNodes, nearest, neighbour } from "../document/walking";
import { announce } from "../state/announce";
import { current, edit, editContext, levelOf, select } from "../state/editor";
import { show } from "../state/ui";

const article = (id: string): HTMLElement | null =>
  document.querySelector(`.react-flow__node[data-id="${CSS.escape(id)}"] > article`);

/** Focus a node, or the canvas if the node is painted because it is too small. */
export function focusNode(id: string): void {
  flushSync(() => undefined); // it may have just been added
  flushSync(() => stage?.paintNow());
  (article(id) ?? document.querySelector<HTMLElement>(".canvas"))?.focus({ preventScroll: true });
}

/** Select a node, bring it into view, and focus it. */
export function goTo(id: string): void {
  const place = places(levelOf(current()), editContext()).get(id);
  if (!place) return;
  // Finish before the next key event, or a late focus could override where that key moved.
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

/** Go to the neighbour in a direction, or to the node in the centre of the view. */
export function walk(direction: Direction): void {
  const known = places(levelOf(current()), editContext());
  const [from] = current().selection;
  const [x, y] = stage?.middle() ?? [0, 0];
  const to = from === undefined ? nearest(known, { x, y }) : neighbour(known, from, direction);
  if (to !== null) goTo(to);
}

/** Select the next group, in the order in which they are read, and bring it into view. */
export function selectNextGroup(): void {
  const groups = levelOf(current()).groups ?? [];
  const order = groups
    .map(({ bounding: [x, y] }, index) => ({ index, x, y }))
    .sort((first, second) => first.y - second.y || first.x - second.x)
    .map(({ index }) => index);
  const [selected] = current().groups;
  const next = order[(selected === undefined ? 0 : order.indexOf(selected) + 1) % order.length];
  const group = next === undefined ? undefined : groups[next];
  if (next === undefined || !group) return announce("say.noGroup");
  const [x, y, width, height] = group.bounding;
  select([], null, [next]);
  keepInView({ x, y, width, height });
  announce("say.group", { title: String(group.title ?? "") });
}

/** The link followed last, by node and side. */
const lastIndex = new Map<string, number>();

/** Follow a link; pressing the same key again on the same node follows the next one. */
export function follow(side: "before" | "after"): void {
  const [from] = current().selection;
  if (from === undefined) return walk("right");
  const found = linkedNodes(levelOf(current()), from, side);
  if (!found.length) return announce(side === "before" ? "say.firstNode" : "say.lastNode");
  const key = `${current().id}/${from}/${side}`;
  const at = ((lastIndex.get(key) ?? -1) + 1) % found.length;
  lastIndex.set(key, at);
  goTo(found[at] as string);
}

const INSIDE = "textarea, input, select, .choice, .loaded-picture-tools button, .socket";

/** Go from the selected node to its first field, or its first socket. */
export function enter(): boolean {
  const [id] = current().selection;
  const node = id === undefined ? null : article(id);
  const first =
    node &&
    (node.querySelector<HTMLElement>(".widget :is(textarea, input, select, button)") ??
      node.querySelector<HTMLElement>(INSIDE));
  first?.focus();
  if (first instanceof HTMLInputElement) first.select(); // at once: a frame later, a typed key could be overwritten
  return Boolean(first);
}

/** Go back from a field or socket to its node. */
export function leave(target: HTMLElement): boolean {
  const node = target.closest<HTMLElement>(".node, .reroute");
  if (!node || node === target) return false;
  node.focus({ preventScroll: true });
  return true;
}

/** Handles keys on a socket. */
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

/** Handles keys on a reroute point. */
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

/** Open the menu of the selection next to it, or the canvas menu. */
export function openMenuByKey(): void {
  const [id] = current().selection;
  const place = id === undefined ? undefined : places(levelOf(current()), editContext()).get(id);
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
