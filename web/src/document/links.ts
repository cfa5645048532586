/** Routes links: a curve to targets ahead, clear of other nodes if possible; a path around both nodes to others. */

import { type Id, type Level, type LinkRecord, linksOf } from "./document";
import { type Geometry, geometry, type Point, placedNodes, socket } from "./geometry";
import { type NativeReroute, pointOf, reroutesOf } from "./native_reroutes";
import type { EditContext } from "./widget_views";

/** `corners`: the four control points of a curve, every turning point of a path, or the ends of each leg. */
export interface Route {
  curved: boolean;
  corners: Point[];
  /** The straight line between the ends of a curve. */
  lead?: Point;
  tail?: Point;
  /** A link with reroute points: one curve from each point to the next. */
  legs?: readonly Route[];
}

export interface LinkPath {
  link: LinkRecord;
  /** The reroute points of the link. */
  via: readonly NativeReroute[];
  route: Route;
  box: { left: number; top: number; right: number; bottom: number };
  /** A socket type. */
  color: string;
}

/** An object that receives path commands: Path2D, or `SvgPath`. */
interface Pen {
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  quadraticCurveTo(cx: number, cy: number, x: number, y: number): void;
  bezierCurveTo(ax: number, ay: number, bx: number, by: number, x: number, y: number): void;
}

const ROUND = 10;
const CLEAR = 14;

export function places(level: Level, env: EditContext): Map<string, Geometry> {
  return new Map(placedNodes(level).map((node) => [String(node.id), geometry(node, env)]));
}

let pathsOf: { level: Level; env: EditContext } | null = null;
let paths: LinkPath[] = [];

/** Computes the route of every link. */
export function linkPaths(level: Level, env: EditContext): LinkPath[] {
  if (pathsOf?.level === level && pathsOf.env.catalogue === env.catalogue) return paths;
  const at = places(level, env);
  const others = at.size <= MOST_AVOIDED ? [...at.values()] : [];
  paths = linksOf(level).flatMap((link) => {
    const origin = at.get(String(link.origin_id));
    const target = at.get(String(link.target_id));
    if (!origin || !target) return [];
    const type = String(origin.outputs[link.origin_slot]?.type ?? link.type);
    const from = socket(origin, "output", link.origin_slot);
    const to = socket(target, "input", link.target_slot);
    const via = reroutesOf(level, link.id);
    const route = via.length
      ? through([from, ...via.map(pointOf), to])
      : between(from, to, { origin, target, lane: link.origin_slot % 4 }, others);
    return [{ link, via, route, box: boxOf(route), color: type === "*" ? String(link.type ?? "*") : type }];
  });
  pathsOf = { level, env };
  return paths;
}

/** A link that passes points. */
export function through(points: readonly Point[]): Route {
  const legs = points.slice(1).map((point, index) => between(points[index] as Point, point));
  return { curved: false, corners: [...points], legs };
}

/** Above this number of nodes, overlaps cannot be seen, and searching for them would take time on every move. */
const MOST_AVOIDED = 150;

/** `ends`: the nodes to go around if the target is behind; `lane` separates parallel links; `others` are avoided. */
export function between(
  from: Point,
  to: Point,
  ends?: { origin: Geometry; target: Geometry; lane: number },
  others: readonly Geometry[] = [],
): Route {
  const dx = to.x - from.x;
  if (!ends || dx >= 0) {
    const out =
      dx >= 0
        ? Math.min(160, reach(dx), Math.max(24, dx * 0.5, Math.min(60, Math.abs(to.y - from.y) * 0.25)))
        : Math.min(80, 24 - dx * 0.25);
    const plain: Route = {
      curved: true,
      corners: [from, { x: from.x + out, y: from.y }, { x: to.x - out, y: to.y }, to],
    };
    return ends
      ? clearest(
          plain,
          from,
          to,
          others.filter((place) => place !== ends.origin && place !== ends.target),
        )
      : plain;
  }
  const apart = 5 * ends.lane;
  const [right, left] = [from.x + CLEAR + apart, to.x - CLEAR - apart];
  const y = laneOf(ends.origin, ends.target, from, to) + apart;
  return {
    curved: false,
    corners: [from, { x: right, y: from.y }, { x: right, y }, { x: left, y }, { x: left, y: to.y }, to],
  };
}

/** Limits the length of a curve's handles for a gap of this width: longer ones would bulge over both nodes. */
const reach = (gap: number): number => Math.max(8, 1.2 * gap);

/**
 * The plain curve, or one that rises late or early if nodes hide the plain one but not that one. A route that is also
 * hidden is not used: it would leave a node horizontally and look as if it started there.
 */
function clearest(plain: Route, from: Point, to: Point, others: readonly Geometry[]): Route {
  const box = boxOf(plain);
  const inWay = others.filter(
    (place) =>
      place.x < box.right &&
      place.x + place.width > box.left &&
      place.y < box.bottom &&
      place.y + place.height > box.top,
  );
  if (!inWay.length || hidden(plain, inWay) <= CLEAR) return plain;
  for (const width of [120, 48]) {
    if (to.x - from.x < width + CLEAR) continue;
    for (const route of [steep(from, to, to.x - width, width), steep(from, to, from.x, width)])
      if (hidden(route, inWay) === 0) return route;
  }
  return plain;
}

/** Horizontal from one end, vertical over `width` starting at `x`, then horizontal to the other end. */
function steep(from: Point, to: Point, x: number, width: number): Route {
  const [start, end] = [
    { x, y: from.y },
    { x: x + width, y: to.y },
  ];
  const bend = width * 0.6;
  return {
    curved: true,
    lead: from,
    tail: to,
    corners: [start, { x: x + bend, y: from.y }, { x: x + width - bend, y: to.y }, end],
  };
}

/** The length of the route that nodes hide. */
export function hidden(route: Route, others: readonly Geometry[]): number {
  const points = sampled(route);
  let length = 0;
  for (let index = 1; index < points.length; index += 1) {
    const [from, to] = [points[index - 1], points[index]] as [Point, Point];
    const pieces = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 12);
    for (let piece = 0; piece < pieces; piece += 1) {
      const at = towards(from, to, (piece + 0.5) / pieces);
      const under = others.some(
        (place) => at.x > place.x && at.x < place.x + place.width && at.y > place.y && at.y < place.y + place.height,
      );
      if (under) length += Math.hypot(to.x - from.x, to.y - from.y) / pieces;
    }
  }
  return length;
}

/** The height at which a backward link runs: between the two nodes, or past the nearer of their edges. */
function laneOf(origin: Geometry, target: Geometry, from: Point, to: Point): number {
  const [originEnd, targetEnd] = [origin.y + origin.height, target.y + target.height];
  if (target.y - originEnd >= 12) return Math.max(target.y - CLEAR - 6, (originEnd + target.y) / 2);
  if (origin.y - targetEnd >= 12) return Math.min(targetEnd + CLEAR + 6, (targetEnd + origin.y) / 2);
  const middle = (from.y + to.y) / 2;
  const [above, below] = [Math.min(origin.y, target.y) - CLEAR, Math.max(originEnd, targetEnd) + CLEAR];
  return middle - above < below - middle ? above : below;
}

const ends = ({ corners, lead, tail, legs }: Route): Point[] =>
  legs?.flatMap(ends) ?? [...(lead ? [lead] : []), ...corners, ...(tail ? [tail] : [])];

function boxOf(route: Route): LinkPath["box"] {
  const points = ends(route);
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

export function trace(pen: Pen, { curved, corners, lead, tail, legs }: Route, straight = false): void {
  if (legs) {
    for (const leg of legs) trace(pen, leg, straight);
    return;
  }
  const [first, last] = [lead ?? (corners[0] as Point), tail ?? (corners.at(-1) as Point)];
  pen.moveTo(first.x, first.y);
  if (straight) return pen.lineTo(last.x, last.y);
  if (curved) {
    const [start, a, b, end] = corners as [Point, Point, Point, Point];
    if (lead) pen.lineTo(start.x, start.y);
    pen.bezierCurveTo(a.x, a.y, b.x, b.y, end.x, end.y);
    if (tail) pen.lineTo(tail.x, tail.y);
    return;
  }
  for (let index = 1; index < corners.length - 1; index += 1) {
    const [before, at, after] = [corners[index - 1], corners[index], corners[index + 1]] as [Point, Point, Point];
    const [into, away] = [Math.hypot(at.x - before.x, at.y - before.y), Math.hypot(after.x - at.x, after.y - at.y)];
    const round = Math.min(ROUND, into / 2, away / 2);
    if (!round) continue;
    const start = towards(at, before, round / into);
    const end = towards(at, after, round / away);
    pen.lineTo(start.x, start.y);
    pen.quadraticCurveTo(at.x, at.y, end.x, end.y);
  }
  pen.lineTo(last.x, last.y);
}

const towards = (from: Point, to: Point, share: number): Point => ({
  x: from.x + (to.x - from.x) * share,
  y: from.y + (to.y - from.y) * share,
});

/** Writes what `trace` draws as the `d` attribute of an SVG path. */
class SvgPath implements Pen {
  d = "";
  moveTo(...at: number[]) {
    this.d += `M${at.join(",")}`;
  }
  lineTo(...at: number[]) {
    this.d += `L${at.join(",")}`;
  }
  quadraticCurveTo(...at: number[]) {
    this.d += `Q${at.join(",")}`;
  }
  bezierCurveTo(...at: number[]) {
    this.d += `C${at.join(",")}`;
  }
}

export function svgPath(route: Route): string {
  const pen = new SvgPath();
  trace(pen, route);
  return pen.d;
}

const SAMPLES = 20;

/** Points along a route, including its ends. */
export function sampled({ curved, corners, lead, tail, legs }: Route): Point[] {
  if (legs) return legs.flatMap(sampled);
  if (!curved) return corners;
  const [from, a, b, to] = corners as [Point, Point, Point, Point];
  const curve = Array.from({ length: SAMPLES + 1 }, (_, step) => {
    const along = step / SAMPLES;
    const rest = 1 - along;
    const weights = [rest ** 3, 3 * rest * rest * along, 3 * rest * along * along, along ** 3] as const;
    const at = (axis: "x" | "y") =>
      weights[0] * from[axis] + weights[1] * a[axis] + weights[2] * b[axis] + weights[3] * to[axis];
    return { x: at("x"), y: at("y") };
  });
  return [...(lead ? [lead] : []), ...curve, ...(tail ? [tail] : [])];
}

export function routesCross(one: Route, other: Route): boolean {
  const [first, second] = [boxOf(one), boxOf(other)];
  if (first.left > second.right || first.right < second.left) return false;
  if (first.top > second.bottom || first.bottom < second.top) return false;
  const [ones, others] = [sampled(one), sampled(other)];
  for (let at = 1; at < ones.length; at += 1)
    for (let with_ = 1; with_ < others.length; with_ += 1)
      if (segmentsCross(ones[at - 1] as Point, ones[at] as Point, others[with_ - 1] as Point, others[with_] as Point))
        return true;
  return false;
}

function segmentsCross(a: Point, b: Point, c: Point, d: Point): boolean {
  const side = (from: Point, to: Point, { x, y }: Point) =>
    Math.sign((to.x - from.x) * (y - from.y) - (to.y - from.y) * (x - from.x));
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

/** The middle of a route. With several legs, the middle of the longest one: the ends of legs hold other handles. */
export function midpoint(route: Route): Point {
  if (route.legs) {
    const [longest] = route.legs.toSorted((first, second) => lengthOf(second) - lengthOf(first));
    return midpoint(longest as Route);
  }
  const points = sampled(route);
  const lengths = points
    .slice(1)
    .map((point, index) => Math.hypot(point.x - (points[index] as Point).x, point.y - (points[index] as Point).y));
  let left = lengths.reduce((sum, length) => sum + length, 0) / 2;
  for (const [index, length] of lengths.entries()) {
    if (left <= length) return towards(points[index] as Point, points[index + 1] as Point, length ? left / length : 0);
    left -= length;
  }
  return points.at(-1) as Point;
}

function lengthOf({ corners }: Route): number {
  const [from, to] = [corners[0] as Point, corners.at(-1) as Point];
  return Math.hypot(to.x - from.x, to.y - from.y);
}

/** The leg of a link that is nearest to a point. */
export function legAt({ route }: LinkPath, point: Point): number {
  const distances = (route.legs ?? []).map((leg) => distanceTo(leg, point));
  return Math.max(0, distances.indexOf(Math.min(...distances)));
}

export interface ReroutePlace {
  id: Id;
  at: Point;
  /** A socket type. */
  color: string;
}

/** The reroute points of links. */
export function reroutePlaces(level: Level, env: EditContext): ReroutePlace[] {
  const found = new Map<Id, ReroutePlace>();
  for (const { via, color } of linkPaths(level, env))
    for (const reroute of via) found.set(reroute.id, { id: reroute.id, at: pointOf(reroute), color });
  return [...found.values()];
}

export const rerouteAt = (level: Level, env: EditContext, { x, y }: Point, reach: number): ReroutePlace | undefined =>
  reroutePlaces(level, env).find(({ at }) => Math.hypot(at.x - x, at.y - y) <= reach);

/** The link under a point of the canvas. */
export function linkAt(level: Level, env: EditContext, point: Point, reach: number): LinkRecord | null {
  let best: LinkRecord | null = null;
  let least = reach;
  for (const { link, route, box } of linkPaths(level, env)) {
    if (
      point.x < box.left - reach ||
      point.x > box.right + reach ||
      point.y < box.top - reach ||
      point.y > box.bottom + reach
    )
      continue;
    const distance = distanceTo(route, point);
    if (distance < least) [least, best] = [distance, link];
  }
  return best;
}

function distanceTo(route: Route, point: Point): number {
  const points = sampled(route);
  let least = Infinity;
  for (let index = 1; index < points.length; index += 1)
    least = Math.min(least, toSegment(point, points[index - 1] as Point, points[index] as Point));
  return least;
}

function toSegment(point: Point, from: Point, to: Point): number {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const share = length ? Math.min(1, Math.max(0, ((point.x - from.x) * dx + (point.y - from.y) * dy) / length)) : 0;
  return Math.hypot(from.x + share * dx - point.x, from.y + share * dy - point.y);
}
