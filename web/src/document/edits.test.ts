import { describe, expect, it } from "vitest";
import textToImage from "../../../workflows/text_to_image.json";
import { toApi } from "../format/api";
import { type Doc, emptyDocument, linksOf, nodesById } from "./document";
import { addNode, addReroute, connect, deleteNodes, disconnect } from "./edits";
import { amend, begin, redo, settle, step, undo } from "./history";
import { newNode } from "./new_nodes";
import { readCatalogue } from "./schema";
import { unwrap, wrap } from "./subgraph_edits";
import { reached } from "./walking";

const doc = textToImage as unknown as Doc;
const catalogue = readCatalogue({
  Source: { input: { required: {} }, output: ["IMAGE"] },
  Filter: { input: { required: { image: ["IMAGE"], strength: ["FLOAT", { default: 0.5 }] } }, output: ["IMAGE"] },
  Sink: { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true },
});

function chain(): Doc {
  let level: Doc = emptyDocument();
  for (const [index, name] of ["Source", "Filter", "Sink"].entries()) {
    level = addNode(level, newNode(catalogue.get(name) as never, index + 1, [300 * index, 0])) as Doc;
  }
  level = connect(level, { origin: "1", originSlot: 0, target: "2", targetSlot: 0 }) as Doc;
  return connect(level, { origin: "2", originSlot: 0, target: "3", targetSlot: 0 }) as Doc;
}

/** Every link is in the table, at its origin and at its target, and nothing else is. */
function isConsistent(level: Doc): boolean {
  const seen = linksOf(level).every((link) => {
    const origin = nodesById(level).get(String(link.origin_id))?.outputs?.[link.origin_slot];
    const target = nodesById(level).get(String(link.target_id))?.inputs?.[link.target_slot];
    return origin?.links?.includes(link.id) && target?.link === link.id;
  });
  const ends = level.nodes.flatMap((node) => [
    ...(node.inputs ?? []).flatMap((slot) => slot.link ?? []),
    ...(node.outputs ?? []).flatMap((slot) => slot.links ?? []),
  ]);
  return seen && ends.length === 2 * linksOf(level).length;
}

describe("links", () => {
  it("are written in the place that the file's version uses", () => {
    const level = chain();
    expect(level.links).toEqual([
      [1, 1, 0, 2, 0, "IMAGE"],
      [2, 2, 0, 3, 0, "IMAGE"],
    ]);
    expect(isConsistent(level)).toBe(true);
  });

  it("replace the old link of an input", () => {
    const level = connect(chain(), { origin: "1", originSlot: 0, target: "3", targetSlot: 0 }) as Doc;
    expect(linksOf(level).map(({ origin_id, target_id }) => [origin_id, target_id])).toEqual([
      [1, 2],
      [1, 3],
    ]);
    expect(isConsistent(level)).toBe(true);
  });

  it("turn a field into a socket", () => {
    const level = connect(chain(), { origin: "1", originSlot: 0, target: "2", targetSlot: "strength" }, "FLOAT") as Doc;
    expect(nodesById(level).get("2")?.inputs?.[1]).toMatchObject({
      name: "strength",
      type: "FLOAT",
      widget: { name: "strength" },
    });
    expect(isConsistent(level)).toBe(true);
  });

  it("detect a cycle before it is created", () => {
    const before = (id: string) => reached(chain(), [id], "before");
    expect(before("3").has("1")).toBe(true);
    expect(before("2").has("2")).toBe(true);
    expect(before("1").has("3")).toBe(false);
    expect(reached(chain(), ["1"], "after").has("3")).toBe(true);
  });

  it("pass through a reroute added to them", () => {
    const level = addReroute(chain(), 2, [0, 0]) as Doc;
    expect(isConsistent(level)).toBe(true);
    expect(toApi(level, catalogue)["3"]?.inputs.images).toEqual(["2", 0]);
  });

  it("can be removed", () => {
    const level = disconnect(chain(), [1]) as Doc;
    expect(linksOf(level)).toHaveLength(1);
    expect(isConsistent(level)).toBe(true);
  });
});

describe("deleting", () => {
  it("links the deleted node's source to its targets", () => {
    const level = deleteNodes(chain(), new Set(["2"]), catalogue) as Doc;
    expect(linksOf(level).map(({ origin_id, target_id }) => [origin_id, target_id])).toEqual([[1, 3]]);
    expect(isConsistent(level)).toBe(true);
  });

  it("keeps the rest of a real workflow consistent", () => {
    expect(isConsistent(deleteNodes(doc, new Set(["7"]), catalogue) as Doc)).toBe(true);
  });
});

describe("subgraphs", () => {
  it("run like their contents, and dissolve back into them", () => {
    const around = { doc: chain(), catalogue };
    const wrapped = wrap(around.doc, [], new Set(["2"]), "Filtering", around);
    expect(toApi(wrapped?.doc as Doc, catalogue)["3"]?.inputs.images).toEqual([`${wrapped?.id}:2`, 0]);
    const again = unwrap(wrapped?.doc as Doc, [], wrapped?.id as string, { doc: wrapped?.doc as Doc, catalogue });
    const api = toApi(again?.doc as Doc, catalogue);
    const filter = Object.entries(api).find(([, node]) => node.class_type === "Filter");
    expect(filter?.[1].inputs).toEqual({ image: ["1", 0], strength: 0.5 });
    expect(api["3"]?.inputs.images).toEqual([filter?.[0], 0]);
    expect(again?.doc.definitions?.subgraphs).toEqual([]);
  });
});

describe("history", () => {
  it("undoes and redoes twenty steps", () => {
    let history = begin<Doc>(doc);
    const states = [doc];
    for (let index = 0; index < 20; index += 1) {
      const [id] = [String((index % 9) + 1)];
      const next = deleteNodes(history.present, new Set([id]), catalogue) as Doc;
      const changed = next === history.present ? (addNode(next, { id: 100 + index, type: "Note" }) as Doc) : next;
      history = step(history, changed);
      states.push(changed);
    }
    for (let index = 19; index >= 0; index -= 1) {
      history = undo(history);
      expect(history.present).toBe(states[index]);
    }
    for (let index = 1; index <= 20; index += 1) {
      history = redo(history);
      expect(history.present).toBe(states[index]);
    }
  });

  it("joins consecutive edits of one kind until the step is settled", () => {
    let history = begin(0);
    for (const value of [1, 2, 3]) history = step(history, value, "typing");
    history = step(settle(history), 4, "typing");
    expect(history.past).toEqual([0, 3]);
    expect(undo(amend(history, 5)).present).toBe(3);
  });
});
