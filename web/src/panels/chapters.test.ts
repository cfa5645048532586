import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chaptersOf } from "./chapters";

const DOCS = join(import.meta.dirname, "..", "..", "..", "docs");

describe("the chapters of the lesson", () => {
  it.each(["lesson.md", "lesson.zh.md"])("in %s are six, without pictures and links to pages", (name) => {
    const chapters = chaptersOf(readFileSync(join(DOCS, name), "utf8"));
    expect(chapters).toHaveLength(6);
    for (const { title, text } of chapters) {
      expect(title).not.toBe("");
      expect(text.length).toBeGreaterThan(200);
      expect(text).not.toContain("images/");
      expect(text).not.toMatch(/\]\((?!https:)/);
    }
  });

  it("end where the next heading begins", () => {
    const page = "# Page\n\nIntro\n\n## 1. One\n\nA\n\n![p](p.webp)\n\nB [c](d.md)\n\n## 2. Two\n\nC\n\n## More\n\nD\n";
    expect(chaptersOf(page)).toEqual([
      { title: "One", text: "A\n\nB c" },
      { title: "Two", text: "C" },
    ]);
  });
});
