/** A file that is opened and saved again stays the same; an edit changes only the edited part. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Doc, linksOf, nodesById, position, type Subgraph, subgraphs } from "../document/document";
import { changeLevel, connect, disconnect, mapNode, moveNodes } from "../document/edits";
import { begin, redo, step, undo } from "../document/history";
import { parseJson, writeJson } from "../document/json";
import { linksThrough, reroutesById, reroutesOf } from "../document/native_reroutes";
import { readWorkflow } from "./read";
import { sampleFiles as files, ROOT } from "./sample_files";

const NO_CLASSES = new Map();
const opened = (path: string): Doc => readWorkflow(parseJson(readFileSync(join(ROOT, path), "utf8")), NO_CLASSES);

/** JSON without spaces between tokens and with numbers in JavaScript's form; key order counts. */
function canonical(text: string): string {
  const parts = text.match(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^\s"\d-]/g) ?? [];
  return parts
    .map((part) =>
      part.startsWith('"')
        ? JSON.stringify(JSON.parse(part))
        : /^-?\d{16,}$/.test(part) || !/^-?\d/.test(part)
          ? part
          : String(Number(part)),
    )
    .join("");
}

describe.each(files)("%s", (path) => {
  const text = readFileSync(join(ROOT, path), "utf8");

  it("is unchanged", () => {
    expect(canonical(writeJson(opened(path), 1))).toBe(canonical(text));
  });

  it("is unchanged after a move that is undone, and again after redo", () => {
    const doc = opened(path);
    const moved = changeLevel(doc, [], (level) =>
      moveNodes(level, new Map(level.nodes.map((node) => [String(node.id), [1, 2] as [number, number]]))),
    );
    expect(moved).not.toBe(doc);
    const history = step(begin(doc), moved);
    expect(canonical(writeJson(undo(history).present))).toBe(canonical(text));
    expect(redo(undo(history)).present).toBe(moved);
  });

  it("changes only a position when a node is moved, on any level", () => {
    const doc = opened(path);
    for (const levelPath of [[], ...[...subgraphs(doc).keys()].map((id) => [id])]) {
      const place = (holder: Doc) => (levelPath[0] ? (subgraphs(holder).get(levelPath[0]) as Subgraph) : holder);
      const node = place(doc).nodes[0];
      if (!node) continue;
      const [x, y] = position(node);
      const id = String(node.id);
      const moved = changeLevel(doc, levelPath, (level) => moveNodes(level, new Map([[id, [x + 10, y]]])));
      expect(nodesById(place(moved)).get(id)?.pos).toEqual([x + 10, y]);
      const back = changeLevel(moved, levelPath, (level) => mapNode(level, id, (now) => ({ ...now, pos: node.pos })));
      expect(canonical(writeJson(back))).toBe(canonical(text));
    }
  });

  it("keeps everything except the link when one is removed and drawn again", () => {
    const doc = opened(path);
    const first = linksOf(doc)[0];
    if (!first) return;
    const without = disconnect(doc, [first.id]) as Doc;
    expect(linksOf(without)).toHaveLength(linksOf(doc).length - 1);
    const ends = {
      origin: String(first.origin_id),
      originSlot: first.origin_slot,
      target: String(first.target_id),
      targetSlot: first.target_slot,
    };
    const again = connect(without, ends) as Doc;
    const rest = ({ nodes: _, links: __, last_link_id: ___, state: ____, reroutes: _____, ...others }: Doc) => others;
    expect(writeJson(rest(again))).toBe(writeJson(rest(doc)));
    // The points of this link alone were removed with it; the points of other links stay, without this link.
    const through = (side: Doc) =>
      linksOf(side)
        .filter(({ id }) => id !== first.id)
        .flatMap(({ id }) => reroutesOf(side, id).map((reroute) => [reroute.id, reroute.pos, reroute.parentId]));
    expect(through(without)).toEqual(through(doc));
    for (const reroute of reroutesById(without).values()) expect(reroute.linkIds).not.toContain(first.id);
    const alone = reroutesOf(doc, first.id).filter(({ id }) => linksThrough(doc, id).length === 1);
    expect(reroutesById(without).size).toBe(reroutesById(doc).size - alone.length);
    const untouched = (side: Doc) =>
      side.nodes.filter((node) => ![String(first.origin_id), String(first.target_id)].includes(String(node.id)));
    expect(untouched(again)).toEqual(untouched(doc));
  });
});

describe("a document that is not a workflow", () => {
  it.each([
    ["[1]", "not a workflow"],
    ['"text"', "not a workflow"],
    ["{}", "empty"],
    ['{"a": 1}', "class_type"],
    ['{"nodes": [null]}', "nodes[0]"],
    ['{"nodes": [{"id": 1}]}', "nodes[0].type"],
    ['{"nodes": [{"id": 1, "type": "X"}, {"id": "1", "type": "X"}]}', "nodes[1].id"],
    ['{"nodes": [{"id": 1, "type": "X", "inputs": [{"name": 3}]}]}', "inputs[0].name"],
    ['{"nodes": [], "links": [[1, 2]]}', "links[0]"],
    ['{"nodes": [], "groups": [{"title": "x"}]}', "bounding"],
    ['{"nodes": [], "definitions": {"subgraphs": [{"id": "a"}]}}', "subgraphs[0].nodes"],
    ['{"1": {"class_type": "X", "inputs": 3}}', "1.inputs"],
  ])("%s is refused", (text, place) => {
    expect(() => readWorkflow(parseJson(text), NO_CLASSES)).toThrow(place);
  });
});
