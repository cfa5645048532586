import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import { changeBetween } from "./changes";
import type { Doc } from "./document";
import { addGroup, addNode, deleteNodes, disconnect, mapNode } from "./edits";
import { begin, goTo, step } from "./history";
import { newNote } from "./new_nodes";

const doc = textToImage as unknown as Doc;
const kind = (after: unknown) => changeBetween(doc, after as Doc).kind;

describe("the list of undo steps", () => {
  it("says what a step changed", () => {
    expect(changeBetween(doc, addNode(doc, newNote("Note", 99, [0, 0])) as Doc)).toMatchObject({
      kind: "added",
      count: 1,
      nodes: [{ id: 99 }],
    });
    expect(kind(deleteNodes(doc, new Set(["9"]), new Map()))).toBe("removed");
    expect(kind(mapNode(doc, "7", (node) => ({ ...node, widgets_values: [2n ** 63n] })))).toBe("values");
    expect(kind(mapNode(doc, "7", (node) => ({ ...node, pos: [1, 2] })))).toBe("moved");
    expect(kind(mapNode(doc, "7", (node) => ({ ...node, mode: 4 })))).toBe("nodes");
    expect(kind(disconnect(doc, [1]))).toBe("links");
    expect(kind(addGroup(doc, { title: "A", bounding: [0, 0, 1, 1], color: "", font_size: 24, flags: {} }))).toBe(
      "groups",
    );
    expect(kind({ ...doc, extra: {} })).toBe("other");
  });

  it("leads to any step, and back", () => {
    const history = [1, 2, 3].reduce((now, value) => step(now, value), begin(0));
    expect(goTo(history, 1)).toEqual({ past: [0], present: 1, future: [2, 3], lastKind: null });
    expect(goTo(goTo(history, 0), 3)).toEqual({ ...history, lastKind: null });
    expect(goTo(history, 3)).toBe(history);
    expect(goTo(history, 9)).toBe(history);
  });
});
