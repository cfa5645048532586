import { describe, expect, it } from "vitest";
import { emptyDocument, type Level } from "./document";
import { addNode } from "./edits";
import { freeSpot, newNote } from "./new_nodes";

const at = (...places: [number, number][]): Level =>
  places.reduce<Level>((level, place, index) => addNode(level, newNote("Note", index + 1, place)), emptyDocument());

describe("room for new nodes", () => {
  it("is the requested place if no node starts there", () => {
    expect(freeSpot(at([0, 0], [300, 0]), [100, 100])).toEqual([100, 100]);
    expect(freeSpot(at([0, 0]), [0, 40])).toEqual([0, 40]);
  });

  it("is beside existing nodes", () => {
    expect(freeSpot(at([0, 0]), [5, -5])).toEqual([35, 25]);
    expect(freeSpot(at([0, 0], [30, 30]), [0, 0])).toEqual([60, 60]);
  });

  it("is enough for several nodes", () => {
    expect(
      freeSpot(
        at([200, 0]),
        [0, 0],
        [
          [0, 0],
          [200, 0],
        ],
      ),
    ).toEqual([30, 30]);
  });
});
