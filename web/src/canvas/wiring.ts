/** Drawing links: where they may end, and what happens when they are released. */

import { create } from "zustand";
import { fits, type Id, type Level, linksById, linksOf } from "../document/document";
import { changeLevel, connect, disconnect } from "../document/edits";
import { type Geometry, geometry, type Point, placedNodes, socket as socketPoint } from "../document/geometry";
import { places } from "../document/links";
import { reroutesOf, throughPoints } from "../document/native_reroutes";
import { portFor } from "../document/ports";
import { rerouteType } from "../document/reroute_types";
import { reached } from "../document/walking";
import type { EditContext } from "../document/widget_views";
import { t } from "../i18n";
import { announce } from "../state/announce";
import { current, definitionPath, edit, editContext, editDocument, levelOf } from "../state/editor";
import { type Pull, type Socket, show, socketKey } from "../state/ui";
import { fieldAt, nodeAt } from "./hits";
import { stage } from "./stage";

/** Position of the loose end of the link being drawn, and the socket that would accept it there. */
export const useWire = create<{ to: Point | null; over: string | null }>(() => ({ to: null, over: null }));

export interface SocketPlace extends Socket {
  label: string;
  linked: boolean;
  /** On the canvas. */
  at: Point;
}

/** All sockets on one side, including those of fields. */
export function socketsOf(level: Level, place: Geometry, node: string, side: "input" | "output"): SocketPlace[] {
  const { x } = socketPoint(place, side, 0);
  const carried = place.look === "reroute" ? rerouteType(level, node) : null;
  const rows = (side === "input" ? place.inputs : place.outputs).map(({ index, label, type, linked, y }) => ({
    node,
    side,
    slot: index as number | string,
    type: carried ?? type,
    label,
    linked,
    at: { x, y: place.y + y },
  }));
  if (side === "output") return rows;
  const fields = place.widgets.map((row) => ({
    node,
    side,
    slot: row.slot ?? row.input.name,
    type: row.input.type,
    label: row.input.label ?? row.input.name,
    linked: row.linked,
    at: row.slot === null ? { x, y: place.y + row.y + 14 } : socketPoint(place, side, row.slot),
  }));
  return [...rows, ...fields];
}

/** From this zoom on, painted nodes show their sockets and links can be drawn from them. */
export const SOCKETS_FROM_ZOOM = 0.3;
/** Hit distance on the screen, slightly more than the painted square; of several rows within it, the nearest counts. */
const PAINTED_REACH = 9;

/** The nearest socket of a painted node at a point of the canvas. Fields have no sockets there. */
export function paintedSocketAt(level: Level, env: EditContext, point: Point, zoom: number): SocketPlace | null {
  if (zoom <= SOCKETS_FROM_ZOOM) return null;
  let best: SocketPlace | null = null;
  let least = Math.min(PAINTED_REACH / zoom, 18);
  for (const node of placedNodes(level)) {
    const place = geometry(node, env);
    if (
      place.look === "reroute" ||
      point.x < place.x - least ||
      point.x > place.x + place.width + least ||
      point.y < place.y ||
      point.y > place.y + place.height
    )
      continue;
    for (const side of ["input", "output"] as const) {
      for (const socket of socketsOf(level, place, String(node.id), side)) {
        const distance = Math.hypot(socket.at.x - point.x, socket.at.y - point.y);
        const painted = (side === "input" ? place.inputs : place.outputs).some(({ index }) => index === socket.slot);
        if (painted && distance < least) [least, best] = [distance, socket];
      }
    }
  }
  return best;
}

export function socketOf(node: string, side: "input" | "output", slot: number | string): SocketPlace | undefined {
  const level = levelOf(current());
  const place = places(level, editContext()).get(node);
  return place && socketsOf(level, place, node, side).find((socket) => socket.slot === slot);
}

/** Describes the socket to the user. */
export function socketName({ node, side, slot }: Socket): string {
  const place = places(levelOf(current()), editContext()).get(node);
  const socket = socketOf(node, side, slot);
  if (place?.look === "reroute") return t("node.reroute", { type: socket?.type ?? "*" });
  return `${socket?.label || slot} · ${place?.title || node}`;
}

/** Start a link at a socket. A linked input detaches its link; an output with `all` detaches all of its links. */
export function pullFrom(socket: Socket, all = false): Pull {
  const level = levelOf(current());
  const links = linksOf(level).filter((link) =>
    socket.side === "input"
      ? String(link.target_id) === socket.node && link.target_slot === socket.slot
      : String(link.origin_id) === socket.node && link.origin_slot === socket.slot,
  );
  const ids = links.map((link) => link.id);
  if (socket.side === "input" && links[0]) {
    const { origin_id, origin_slot } = links[0];
    const origin = socketOf(String(origin_id), "output", origin_slot);
    if (origin) return withAccepting({ fixed: [origin], seeks: "input", links: ids });
  }
  if (socket.side === "output" && all && links.length) {
    const fixed = links.flatMap((link) => socketOf(String(link.target_id), "input", link.target_slot) ?? []);
    if (fixed.length === links.length) return withAccepting({ fixed, seeks: "output", links: ids });
  }
  return withAccepting({ fixed: [socket], seeks: socket.side === "output" ? "input" : "output", links: [] });
}

function withAccepting(pull: Omit<Pull, "takers">): Pull {
  return {
    ...pull,
    takers: new Set(acceptingSockets(pull).map(({ node, side, slot }) => socketKey(node, side, slot))),
  };
}

/** The sockets where a link could end: of a matching type, and without closing a cycle. */
export function acceptingSockets({ fixed, seeks }: Pick<Pull, "fixed" | "seeks">): SocketPlace[] {
  const level = levelOf(current());
  const env = editContext();
  const circular = reached(
    level,
    fixed.map((socket) => socket.node),
    seeks === "input" ? "before" : "after",
  );
  return placedNodes(level).flatMap((node) => {
    const id = String(node.id);
    if (circular.has(id)) return [];
    return socketsOf(level, geometry(node, env), id, seeks).filter((socket) =>
      fixed.every((end) => (seeks === "input" ? fits(socket.type, end.type) : fits(end.type, socket.type))),
    );
  });
}

const REACH = 26;

/** The socket that accepts a link released at a point: the nearest, else the field, else the node's best match. */
export function acceptingSocketAt(pull: Pull, point: Point): SocketPlace | null {
  const level = levelOf(current());
  const env = editContext();
  let best: SocketPlace | null = null;
  let least = REACH / (stage?.view.zoom ?? 1);
  const under = nodeAt(level, env, point);
  for (const node of placedNodes(level)) {
    const id = String(node.id);
    const place = geometry(node, env);
    if (
      point.x < place.x - least ||
      point.x > place.x + place.width + least ||
      point.y < place.y - least ||
      point.y > place.y + place.height + least
    )
      continue;
    if (under !== null && id !== under) continue;
    const field = fieldAt(place, point);
    for (const socket of socketsOf(level, place, id, pull.seeks)) {
      if (!pull.takers.has(socketKey(id, socket.side, socket.slot))) continue;
      if (field && (field.slot ?? field.input.name) === socket.slot) return socket;
      const distance = Math.hypot(socket.at.x - point.x, socket.at.y - point.y);
      if (distance < least) [least, best] = [distance, socket];
    }
  }
  return best ?? (under === null ? null : bestOn(pull, under));
}

/** The best socket of a node for a link: unlinked before linked, exact type first, sockets before fields. */
export function bestOn(pull: Pick<Pull, "fixed" | "seeks">, node: string): SocketPlace | null {
  const wanted = pull.fixed[0]?.type;
  const rank = (socket: SocketPlace) => Number(socket.linked) + (socket.type === wanted ? 0 : 2);
  const found = acceptingSockets(pull).filter((socket) => socket.node === node);
  const place = places(levelOf(current()), editContext()).get(node);
  const isField = ({ slot }: SocketPlace) =>
    place?.widgets.some((row) => (row.slot ?? row.input.name) === slot) ?? false;
  const sockets = found.filter((socket) => !isField(socket) || pull.seeks === "output");
  const fields = found.filter((socket) => !sockets.includes(socket) && socket.type === wanted);
  return [...(sockets.length ? sockets : fields)].sort((first, second) => rank(first) - rank(second))[0] ?? null;
}

/** Link the ends being drawn to a socket. */
export function give(pull: Pull, to: Socket, kind: string | null = null): void {
  const level = levelOf(current());
  const same = pull.links.some((id) => {
    const link = linksById(level).get(String(id));
    const [node, slot] =
      pull.seeks === "input" ? [link?.target_id, link?.target_slot] : [link?.origin_id, link?.origin_slot];
    return String(node) === to.node && slot === to.slot;
  });
  if (same) return;
  const path = definitionPath(current());
  editDocument((doc) => {
    const withPorts = pull.fixed.reduce((now, end) => portFor(portFor(now, path, end, to), path, to, end), doc);
    return changeLevel(withPorts, path, (before) =>
      pull.fixed.reduce(
        (now, end, index) => keepPoints(joined(now, end, to), before, pull.links[index], end, to),
        disconnect(before, pull.links),
      ),
    );
  }, kind);
  announce("say.linked", { from: socketName(pull.fixed[0] as Socket), to: socketName(to) });
}

function joined(level: Level, first: Socket, second: Socket): Level {
  const [from, to] = first.side === "output" ? [first, second] : [second, first];
  return connect(
    level,
    { origin: from.node, originSlot: from.slot as number, target: to.node, targetSlot: to.slot },
    to.type,
  );
}

/** A link that was moved at one end keeps its reroute points. */
function keepPoints(level: Level, before: Level, link: Id | undefined, end: Socket, to: Socket): Level {
  const chain = link === undefined ? [] : reroutesOf(before, link);
  if (!chain.length) return level;
  const [from, target] = end.side === "output" ? [end, to] : [to, end];
  const made = linksOf(level).findLast(
    ({ origin_id, origin_slot, target_id }) =>
      String(origin_id) === from.node && origin_slot === from.slot && String(target_id) === target.node,
  );
  return made ? throughPoints(level, made.id, chain) : level;
}

/** Link a socket to the best match on a node. Returns false if nothing matches. */
export function linkToNode(from: Socket, node: string, kind: string | null = null): boolean {
  const pull: Pull = {
    fixed: [from],
    seeks: from.side === "output" ? "input" : "output",
    links: [],
    takers: new Set(),
  };
  const to = bestOn(pull, node);
  if (to) give(pull, to, kind);
  return to !== null;
}

/** Release the link being drawn at a position on the screen. */
export function releaseLink(pull: Pull, x: number, y: number): void {
  const at = stage?.toCanvas(x, y) ?? [0, 0];
  const point = { x: at[0], y: at[1] };
  const taker = acceptingSocketAt(pull, point);
  if (taker) return give(pull, taker);
  if (nodeAt(levelOf(current()), editContext(), point) !== null)
    return announce("say.refused", { from: socketName(pull.fixed[0] as Socket) });
  if (!pull.links.length) return show({ palette: { x, y, at, from: pull.fixed[0] as Socket } });
  if (pull.seeks === "input") unlink(pull.links);
}

export function unlink(ids: readonly Id[]): void {
  edit((level) => disconnect(level, ids));
  announce("say.unlinked", { count: ids.length });
}

/** The links at a socket. */
export function linksAt(socket: Socket): Id[] {
  return linksOf(levelOf(current())).flatMap((link) => {
    const [node, slot] =
      socket.side === "input" ? [link.target_id, link.target_slot] : [link.origin_id, link.origin_slot];
    return String(node) === socket.node && slot === socket.slot ? [link.id] : [];
  });
}
