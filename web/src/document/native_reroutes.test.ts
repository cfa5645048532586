import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Doc, type Level, linksById, linksOf, subgraphs } from "./document";
import { disconnect } from "./edits";
import { parseJson } from "./json";
import { linkPaths } from "./links";
import {
  addNativeReroute,
  deleteReroutes,
  linksThrough,
  moveReroutes,
  pointOf,
  reroutesById,
  reroutesOf,
  throughPoints,
} from "./native_reroutes";

const opened = (name: string): Doc =>
  parseJson(
    readFileSync(join(import.meta.dirname, "../../../tests/graph/formats/files", name), "utf8"),
  ) as unknown as Doc;

/** The same file in each version: two links share a point, one has a second point, and one point has no link. */
const VERSIONS: [string, Level, { two: number; one: number; shared: number; own: number; loose: number }][] = [
  ["0.4", opened("late_2025.json"), { two: 9, one: 21, shared: 2, own: 3, loose: 4 }],
  ["1", opened("schema_1.json"), { two: 1, one: 3, shared: 6, own: 5, loose: 7 }],
];
const ids = (level: Level, link: number) => reroutesOf(level, link).map(({ id }) => id);
const all = (level: Level) => [...reroutesById(level).keys()].sort();

describe.each(VERSIONS)(
  "points of links in a file of version %s",
  (version, level, { two, one, shared, own, loose }) => {
    it("are visited from the origin to the target", () => {
      expect(ids(level, two)).toEqual([shared, own]);
      expect(ids(level, one)).toEqual(version === "1" ? [shared] : [shared, own]);
      expect(reroutesOf(level, 999)).toEqual([]);
      expect(
        linksThrough(level, shared)
          .map(({ id }) => id)
          .sort(),
      ).toEqual([two, one].sort());
    });

    it("are drawn", () => {
      const path = linkPaths(level, { doc: level as Doc, catalogue: new Map() }).find(({ link }) => link.id === two);
      expect(path?.route.corners.slice(1, -1)).toEqual(reroutesOf(level, two).map(pointOf));
      expect(path?.route.legs).toHaveLength(3);
    });

    it("move without changing anything else", () => {
      const moved = moveReroutes(level, new Map([[String(own), [10, 20]]]));
      expect(pointOf(reroutesById(moved).get(String(own)) as never)).toEqual({ x: 10, y: 20 });
      const back = moveReroutes(
        moved,
        new Map([
          [String(own), Object.values(pointOf(reroutesById(level).get(String(own)) as never)) as [number, number]],
        ]),
      );
      expect(back).toEqual(level);
      expect(moveReroutes(level, new Map([["999", [1, 1]]]))).toBe(level);
    });

    it("are skipped if one is deleted", () => {
      const without = deleteReroutes(level, new Set([String(shared)]));
      expect(ids(without, two)).toEqual([own]);
      expect(reroutesById(without).get(String(own))).not.toHaveProperty("parentId");
      const bare = deleteReroutes(level, new Set([String(shared), String(own)]));
      expect([ids(bare, two), ids(bare, one)]).toEqual([[], []]);
      expect(all(bare)).toEqual([String(loose)]);
      expect(linksOf(bare)).toHaveLength(linksOf(level).length);
    });

    it("stay for other links if one is deleted, and disappear with the last one", () => {
      const first = disconnect(level, [two]);
      expect(ids(first, one)).toEqual(ids(level, one));
      expect(all(first)).toEqual(version === "1" ? [String(shared), String(loose)].sort() : all(level));
      for (const reroute of reroutesById(first).values()) expect(reroute.linkIds).not.toContain(two);
      const both = disconnect(first, [one]);
      expect(all(both), "one without a link stays as it was").toEqual([String(loose)]);
      expect((both.extra as { linkExtensions?: unknown } | undefined)?.linkExtensions).toBeUndefined();
    });

    it("are added to the section under the pointer, for all links that share it", () => {
      const before = Math.max(...all(level).map(Number));
      const atStart = addNativeReroute(level, two, [5, 6], 0);
      expect(ids(atStart, two)).toEqual([before + 1, shared, own]);
      expect(ids(atStart, one)[0]).toBe(before + 1);
      const atEnd = addNativeReroute(level, two, [5, 6], 2);
      expect(ids(atEnd, two)).toEqual([shared, own, before + 1]);
      expect(ids(atEnd, one)).toEqual(ids(level, one));
      expect(reroutesById(atEnd).get(String(before + 1))?.linkIds).toEqual([two]);
      const plain = linksOf(level).find(({ id }) => !reroutesOf(level, id).length)?.id as number;
      const bent = addNativeReroute(level, plain, [5, 6], 0);
      expect(ids(bent, plain)).toEqual([before + 1]);
      expect(deleteReroutes(bent, new Set([String(before + 1)]))).toEqual(
        level.state ? { ...level, state: { ...(level.state as object), lastRerouteId: before + 1 } } : level,
      );
    });

    it("are kept by a link that replaces another", () => {
      const chain = reroutesOf(level, two);
      const again = throughPoints(disconnect(level, [two]), one, chain);
      expect(ids(again, one)).toEqual([shared, own]);
    });
  },
);

describe("points of links", () => {
  it("belong to one level", () => {
    const doc = opened("late_2025_subgraphs.json");
    const inside = [...subgraphs(doc).values()].find((level) => reroutesById(level).size) as Level;
    expect(ids(inside, 2)).toEqual([1]);
    expect(reroutesById(doc).size).toBe(0);
    expect(linksById(inside).has("2")).toBe(true);
  });

  it.each([
    [null],
    ["text"],
    [[null]],
    [[{ id: 1 }]],
    [[{ id: 1, pos: ["a", 2] }]],
    [[{ id: 1, pos: [1, 2], parentId: 1, linkIds: 5 }]],
  ])("are ignored if malformed: %j", (reroutes) => {
    const doc = { ...opened("schema_1.json"), reroutes } as Doc;
    expect(linkPaths(doc, { doc, catalogue: new Map() }).length).toBe(linksOf(doc).length);
    expect(linksOf(disconnect(doc, [1]))).toHaveLength(linksOf(doc).length - 1);
  });
});
