import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import { type Doc, emptyDocument } from "./document";
import { addNode, connect } from "./edits";
import { geometry } from "./geometry";
import { between, linkAt, linkPaths, midpoint, places, sampled, svgPath } from "./links";
import { newNode } from "./new_nodes";
import { readCatalogue } from "./schema";

const catalogue = readCatalogue({ Filter: { input: { required: { image: ["IMAGE"] } }, output: ["IMAGE"] } });

/** Two filters, the first linked to the second. */
function two(at: [number, number]): Doc {
  const def = catalogue.get("Filter") as never;
  let doc = addNode(emptyDocument(), newNode(def, 1, [0, 0])) as Doc;
  doc = addNode(doc, newNode(def, 2, at)) as Doc;
  return connect(doc, { origin: "1", originSlot: 0, target: "2", targetSlot: 0 }) as Doc;
}

describe("links", () => {
  it("are curves if the target is ahead", () => {
    const [path] = linkPaths(two([500, 0]), { doc: emptyDocument(), catalogue });
    expect(path?.route.curved).toBe(true);
  });

  describe.each([0, 5, 10, 21, 27, 28, 40])("across a gap of %i px", (gap) => {
    it.each([-300, -60, 0, 60, 300])("run straight to a node %i px lower", (lower) => {
      const doc = two([270 + gap, lower]);
      const around = { doc, catalogue };
      const [path] = linkPaths(doc, around);
      const route = path?.route as never;
      const points = sampled(route);
      const [from, to] = [points[0], points.at(-1)] as [{ x: number; y: number }, { x: number; y: number }];
      expect(to.x - from.x).toBe(gap);
      const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
      for (const { x, y } of points) {
        expect(x, "it bulges over a node").toBeGreaterThanOrEqual(from.x - 3);
        expect(x, "it bulges over a node").toBeLessThanOrEqual(to.x + 3);
        expect(y, "it loops above the nodes").toBeGreaterThanOrEqual(top - 0.01);
        expect(y, "it loops below the nodes").toBeLessThanOrEqual(bottom + 0.01);
      }
    });
  });

  it.each([
    ["below", [0, 300]],
    ["above", [0, -300]],
    ["beside", [-400, 10]],
    ["just below", [40, 110]],
  ] as const)("go back around both nodes to a target behind and %s", (_, at) => {
    const doc = two([...at]);
    const around = { doc, catalogue };
    const [path] = linkPaths(doc, around);
    expect(path?.route.curved).toBe(false);
    const corners = sampled(path?.route as never);
    for (const place of places(doc, around).values()) {
      for (let index = 1; index < corners.length; index += 1) {
        const [from, to] = [corners[index - 1], corners[index]] as [{ x: number; y: number }, { x: number; y: number }];
        for (let share = 0; share <= 1; share += 0.02) {
          const [x, y] = [from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share];
          const inside =
            x > place.x + 1 && x < place.x + place.width - 1 && y > place.y + 1 && y < place.y + place.height - 1;
          expect(inside, `${x}, ${y} is under a node`).toBe(false);
        }
      }
    }
  });

  it("avoid a node in their way", () => {
    let doc = two([900, -300]);
    doc = addNode(doc, newNode(catalogue.get("Filter") as never, 3, [420, -180])) as Doc;
    const around = { doc, catalogue };
    const [path] = linkPaths(doc, around);
    const place = places(doc, around).get("3") as { x: number; y: number; width: number; height: number };
    const under = sampled(path?.route as never).filter(
      ({ x, y }) => x > place.x && x < place.x + place.width && y > place.y && y < place.y + place.height,
    );
    expect(path?.route.lead, "the node would hide the plain curve").toBeDefined();
    expect(under).toEqual([]);
  });

  it("are found under a point, also in the middle", () => {
    const doc = textToImage as unknown as Doc;
    const around = { doc, catalogue };
    for (const { link, route } of linkPaths(doc, around)) {
      expect(linkAt(doc, around, midpoint(route), 1)).not.toBeNull();
      expect(link.id).toBeDefined();
    }
    expect(linkAt(doc, around, { x: -500, y: -500 }, 20)).toBeNull();
  });

  it("are separate if an output has several links to targets behind", () => {
    const doc = two([0, 300]);
    const [first, second] = [...doc.nodes].map((node) => geometry(node, { doc, catalogue }));
    const lanes = [0, 1, 2].map((lane) =>
      svgPath(between({ x: 270, y: 40 }, { x: 0, y: 340 }, { origin: first as never, target: second as never, lane })),
    );
    expect(new Set(lanes).size).toBe(3);
  });
});
