/** Decides which links of an arranged graph need bends so as not to run behind nodes or cross others. */

import type { Id } from "../document";
import { type Geometry, type Point, socket } from "../geometry";
import { between, hidden, type Route, routesCross, through } from "../links";
import type { Wire } from "./plan";

/** The length of a link that may be hidden. */
const MOST_HIDDEN = 16;

/** The drawn links, some of which are bent. */
class Drawing {
  private readonly bent = new Map<Wire, Route>();
  private readonly plain = new Map<Wire, Route>();

  constructor(
    private readonly places: ReadonlyMap<string, Geometry>,
    readonly wires: readonly Wire[],
  ) {
    const all = [...places.values()];
    for (const wire of wires) {
      const [from, to, origin, target] = this.ends(wire);
      this.plain.set(wire, between(from, to, { origin, target, lane: wire.slots[0] % 4 }, all));
    }
  }

  private ends({ from, to, slots }: Wire): [Point, Point, Geometry, Geometry] {
    const [origin, target] = [this.places.get(from) as Geometry, this.places.get(to) as Geometry];
    return [socket(origin, "output", slots[0]), socket(target, "input", slots[1]), origin, target];
  }

  start = (wire: Wire): Point => this.ends(wire)[0];

  bend(wire: Wire, points: readonly Point[]): void {
    const [from, to] = this.ends(wire);
    this.bent.set(wire, through([from, ...points, to]));
  }

  straighten = (wire: Wire): boolean => this.bent.delete(wire);

  private route = (wire: Wire): Route => this.bent.get(wire) ?? (this.plain.get(wire) as Route);

  /** How many links a link crosses, and much more if it runs behind a node. */
  faults(wire: Wire): number {
    const route = this.route(wire);
    const nodes = [...this.places].flatMap(([id, place]) => (id === wire.from || id === wire.to ? [] : [place]));
    const crossed = this.wires.filter(
      (other) => other !== wire && !meets(wire, other) && routesCross(route, this.route(other)),
    );
    return crossed.length + (hidden(route, nodes) > MOST_HIDDEN ? this.wires.length : 0);
  }
}

/** Whether two links have a socket in common. */
const meets = (one: Wire, other: Wire): boolean =>
  (one.from === other.from && one.slots[0] === other.slots[0]) ||
  (one.to === other.to && one.slots[1] === other.slots[1]);

/** Above this number of links, looking for crossings takes long, and their bends would not be seen. */
const MOST_LINKS = 400;

/** Bend the links that would run behind nodes or cross others along their lanes; those that need not stay as they are. */
export function bendsOf(
  wires: readonly Wire[],
  places: ReadonlyMap<string, Geometry>,
  lanes: ReadonlyMap<Id, Point[]>,
  right: (id: string) => number,
): Map<Id, Point[]> {
  if (wires.length > MOST_LINKS) return new Map();
  const drawing = new Drawing(places, wires);
  const bends = new Map<Wire, Point[]>();
  const ways = new Map(
    wires.map((wire) => {
      const { x, y } = drawing.start(wire);
      const edge = right(wire.from);
      const out = edge - x > MOST_HIDDEN ? [{ x: edge, y }] : [];
      return [wire, [...out, ...(lanes.get(wire.id) ?? [])]] as const;
    }),
  );
  for (let again = true; again; ) {
    const faulty = wires.filter((wire) => !bends.has(wire) && ways.get(wire)?.length && drawing.faults(wire));
    for (const wire of faulty) {
      const way = ways.get(wire) as Point[];
      bends.set(wire, way);
      drawing.bend(wire, way);
    }
    again = faulty.length > 0;
  }
  for (const [wire, way] of [...bends]) {
    const least = drawing.faults(wire);
    drawing.straighten(wire);
    if (drawing.faults(wire) > least) drawing.bend(wire, way);
    else bends.delete(wire);
  }
  return new Map([...bends].map(([{ id }, way]) => [id, way]));
}
