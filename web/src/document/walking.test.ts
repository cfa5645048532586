import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import type { Doc } from "./document";
import { places } from "./links";
import { linkedNodes, nearest, neighbour } from "./walking";

const doc = textToImage as unknown as Doc;
const at = places(doc, { doc, catalogue: new Map() });

describe("walking", () => {
  it("goes to the neighbour in each direction", () => {
    expect(neighbour(at, "2", "right")).toBe("4");
    expect(neighbour(at, "2", "down")).toBe("3");
    expect(neighbour(at, "3", "up")).toBe("2");
    expect(neighbour(at, "8", "left")).toBe("7");
    expect(neighbour(at, "1", "left")).toBeNull();
  });

  it("reaches every node from every other", () => {
    const reached = new Set(["1"]);
    for (const id of reached) {
      for (const way of ["left", "right", "up", "down"] as const) {
        const next = neighbour(at, id, way);
        if (next) reached.add(next);
      }
    }
    expect(reached.size).toBe(doc.nodes.length);
  });

  it("follows links in the order of the sockets", () => {
    expect(linkedNodes(doc, "7", "before")).toEqual(["1", "4", "5", "6"]);
    expect(linkedNodes(doc, "1", "after")).toEqual(["7", "2", "3", "4", "5", "8"]);
    expect(linkedNodes(doc, "9", "after")).toEqual([]);
  });

  it("starts at the nearest node", () => {
    expect(nearest(at, { x: 1500, y: 400 })).toBe("9");
    expect(nearest(new Map(), { x: 0, y: 0 })).toBeNull();
  });
});
