import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import { copied, paste, readClip } from "./clipboard";
import { type Doc, emptyDocument, linksOf, nodesById } from "./document";
import { addNode, addReroute, connect, deleteNodes, disconnect } from "./edits";
import { geometry } from "./geometry";
import { deleteGroups, groupsWithin, membersOf, moveGroups } from "./grouping";
import { arranged } from "./layout";
import { newNode } from "./new_nodes";
import { rerouteType } from "./reroute_types";
import { readCatalogue } from "./schema";

const doc = textToImage as unknown as Doc;
const around = { doc, catalogue: new Map() };

describe("groups", () => {
  it("contain the nodes whose centre is inside", () => {
    expect(membersOf(doc, around, doc.groups?.[1] as never)).toEqual(["2", "3", "4", "5"]);
  });

  it("contain the groups that are completely inside", () => {
    const nested: Doc = {
      ...doc,
      groups: [{ title: "all", bounding: [-100, -100, 3000, 2000] }, ...(doc.groups ?? [])],
    };
    expect(groupsWithin(nested, 0)).toEqual([1, 2, 3, 4]);
    expect(groupsWithin(nested, 1)).toEqual([]);
  });

  it("move, and can be deleted alone", () => {
    expect(moveGroups(doc, new Map([[0, [20, 140]]]))).toBe(doc);
    expect(moveGroups(doc, new Map([[0, [0, 0]]])).groups?.[0]?.bounding).toEqual([0, 0, 340, 220]);
    expect(deleteGroups(doc, new Set([0, 2])).groups?.map(({ title }) => title)).toEqual([
      "Text becomes conditioning",
      "Decode and save",
    ]);
  });
});

describe("tidying", () => {
  it("places every node, fits every group to its members, and snaps to the grid", () => {
    const { nodes, boxes } = arranged(doc, around);
    expect([...nodes.keys()].sort()).toEqual(doc.nodes.map(({ id }) => String(id)).sort());
    expect([...nodes.values()].flat().every((value) => value % 10 === 0)).toBe(true);
    expect(boxes.size).toBe(4);
    for (const [index, [left, top, width, height]] of boxes) {
      for (const id of membersOf(doc, around, doc.groups?.[index] as never)) {
        const [x, y] = nodes.get(id) as [number, number];
        const place = geometry(nodesById(doc).get(id) as never, around);
        expect(x > left && y > top && x + place.width < left + width && y - 30 + place.height < top + height).toBe(
          true,
        );
      }
    }
  });

  it("leaves unselected nodes in place", () => {
    const { nodes, boxes } = arranged(doc, around, new Set(["2", "3"]));
    expect([...nodes.keys()]).toEqual(["2", "3"]);
    expect(boxes.size).toBe(0);
    expect(arranged(emptyDocument(), around).nodes.size).toBe(0);
  });
});

describe("the clipboard", () => {
  it("keeps groups and links, and never repeats an id", () => {
    const clip = readClip(copied(doc, doc, new Set(["2", "4"]), new Set([1])));
    const { level, ids, groups } = paste(doc, clip as never, { offset: [10, 20] });
    expect([...ids]).toEqual(["10", "11"]);
    expect([...groups]).toEqual([4]);
    expect(level.groups?.[4]?.bounding).toEqual([380, 0, 660, 430]);
    expect(new Set(level.groups?.map(({ id }) => id)).size).toBe(5);
    expect(linksOf(level).length).toBe(linksOf(doc).length + 1);
  });

  it("is read only if its text is Sumi's and complete", () => {
    for (const text of ["", "hello", '{"sumi":1', '{"sumi":1}', '{"sumi":1,"nodes":5,"links":[]}'])
      expect(readClip(text), text).toBeNull();
  });
});

describe("reroutes", () => {
  const catalogue = readCatalogue({
    Source: { input: { required: {} }, output: ["IMAGE", "MASK"] },
    Sink: { input: { required: { images: ["IMAGE"] } }, output: [] },
  });
  const place = (level: Doc, name: string, id: number) =>
    addNode(level, newNode(catalogue.get(name) as never, id, [0, 0])) as Doc;
  const reroute = (id: number) => ({
    id,
    type: "Reroute",
    pos: [0, 0] as [number, number],
    inputs: [{ name: "", type: "*", link: null }],
    outputs: [{ name: "", type: "*", links: null }],
  });
  const start = () =>
    addNode(addNode(place(place(emptyDocument(), "Source", 1), "Sink", 2), reroute(3)), reroute(4)) as Doc;

  it("carry the type of their source along the whole chain", () => {
    let level = connect(start(), { origin: "3", originSlot: 0, target: "4", targetSlot: 0 });
    expect(rerouteType(level, "4")).toBe("*");
    level = connect(level, { origin: "1", originSlot: 1, target: "3", targetSlot: 0 });
    expect([3, 4].map((id) => nodesById(level).get(String(id))?.outputs?.[0]?.type)).toEqual(["MASK", "MASK"]);
    expect(linksOf(level).map(({ type }) => type)).toEqual(["MASK", "MASK"]);
    const cut = disconnect(level, [linksOf(level).find(({ origin_id }) => origin_id === 1)?.id as number]);
    expect(linksOf(cut).map(({ type }) => type)).toEqual(["*"]);
  });

  it("without a source carry the type of their target", () => {
    let level = connect(start(), { origin: "3", originSlot: 0, target: "4", targetSlot: 0 });
    level = connect(level, { origin: "4", originSlot: 0, target: "2", targetSlot: 0 });
    expect(rerouteType(level, "3")).toBe("IMAGE");
  });

  it("in a circle carry any type", () => {
    let level = connect(start(), { origin: "3", originSlot: 0, target: "4", targetSlot: 0 });
    level = connect(level, { origin: "4", originSlot: 0, target: "3", targetSlot: 0 });
    expect(rerouteType(level, "3")).toBe("*");
  });

  it("can be removed from a link", () => {
    const on = addReroute(doc, 10, [0, 0]);
    const off = deleteNodes(on, new Set(["10"]), catalogue);
    const bare = (level: Doc) =>
      linksOf(level)
        .map(({ origin_id, origin_slot, target_id, target_slot, type }) =>
          [origin_id, origin_slot, target_id, target_slot, type].join(),
        )
        .sort();
    expect(bare(off as Doc)).toEqual(bare(doc));
  });
});

describe("deleting", () => {
  it("leaves the links of a subgraph's edge nodes", () => {
    const level = {
      ...doc,
      inputNode: { id: 1 },
      outputNode: { id: -20 },
      inputs: [],
      outputs: [],
      nodes: doc.nodes.filter(({ id }) => id !== 1),
    };
    expect(linksOf(deleteNodes(level, new Set(["1"]), new Map()))).toHaveLength(13);
  });
});
