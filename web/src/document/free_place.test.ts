import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import { type Doc, nodesById } from "./document";
import { addNode } from "./edits";
import { freePlace, withRoom } from "./free_place";
import { geometry } from "./geometry";
import { newNode } from "./new_nodes";
import { type NodeDef, readCatalogue } from "./schema";

const box = (x: number, y: number, width = 100, height = 50) => ({ x, y, width, height });

describe("the place of a new node", () => {
  it("is the requested one if that is free", () => {
    expect(freePlace(box(0, 0), [box(200, 0), box(0, 100)])).toEqual([0, 0]);
  });

  it("is the nearest one that covers no other node", () => {
    expect(freePlace(box(0, 0), [box(10, 10)])).toEqual([0, -60]);
    expect(freePlace(box(0, 0), [box(0, -30), box(0, 40)])).toEqual([0, -100]);
    expect(freePlace(box(0, 0), [box(-400, -500, 1000, 600)])).toEqual([0, 120]);
  });

  it("covers none of many nodes", () => {
    const grid = Array.from({ length: 400 }, (_, index) => box((index % 20) * 110, Math.floor(index / 20) * 60));
    const [x, y] = freePlace(box(1000, 500), grid);
    expect(
      grid.every((other) => x >= other.x + 120 || x <= other.x - 120 || y >= other.y + 70 || y <= other.y - 70),
    ).toBe(true);
  });

  it("is found for nodes with all their fields", () => {
    const catalogue = readCatalogue({
      KSampler: {
        input: { required: { seed: ["INT", {}], steps: ["INT", {}], text: ["STRING", { multiline: true }] } },
      },
    });
    let doc = textToImage as unknown as Doc;
    const env = { doc, catalogue };
    const before = doc.nodes.map((node) => geometry(node, env));
    for (const { x, y } of before) {
      const id = 100 + doc.nodes.length;
      const node = newNode(catalogue.get("KSampler") as NodeDef, id, [x + 10, y + 40]);
      doc = withRoom(addNode(doc, node), String(id), env) as Doc;
      const own = geometry(nodesById(doc).get(String(id))!, env);
      const hit = doc.nodes.some((other) => {
        if (other.id === id) return false;
        const place = geometry(other, env);
        return (
          own.x < place.x + place.width &&
          own.x + own.width > place.x &&
          own.y < place.y + place.height &&
          own.y + own.height > place.y
        );
      });
      expect(hit).toBe(false);
    }
  });
});
