/** Tests which folder may import which, and that imports form no circles. Imports of types count, too. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseSync } from "vite";
import { describe, expect, it } from "vitest";

/** Each folder and the folders it may import. A folder that is not listed fails the test. */
const ARROWS: Record<string, readonly string[]> = {
  document: [],
  format: ["document"],
  server: ["document", "format"],
  i18n: ["document"],
  state: ["document", "format", "server", "i18n"],
  widgets: ["document", "i18n", "state"],
  canvas: ["document", "server", "i18n", "state", "widgets"],
  app: ["document", "format", "server", "i18n", "state", "widgets"],
  panels: ["document", "format", "server", "i18n", "state", "widgets", "canvas", "app"],
};

type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** The modules that a source text imports: statically, lazily, by re-export, or only for a type. */
function importsOf(path: string, text: string): string[] {
  const { program, errors } = parseSync(path, text);
  if (errors.length) throw new Error(`${path}: ${errors[0]?.message}`);
  const found: string[] = [];
  JSON.stringify(program, (_, node: { type?: string; source?: { value?: unknown } } | null) => {
    const kinds = [
      "ImportDeclaration",
      "ExportNamedDeclaration",
      "ExportAllDeclaration",
      "ImportExpression",
      "TSImportType",
    ];
    if (kinds.includes(node?.type ?? "") && typeof node?.source?.value === "string") found.push(node.source.value);
    return typeof node === "bigint" ? null : node;
  });
  return found;
}

function readGraph(root: string): Graph {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) =>
    /(?<!\.test)\.tsx?$/.test(name),
  );
  const known = new Set(files);
  const resolved = (from: string, to: string) => {
    const base = relative(root, resolve(root, dirname(from), to));
    return [base, `${base}.ts`, `${base}.tsx`, join(base, "index.ts")].find((name) => known.has(name));
  };
  return new Map(
    files.map((file) => {
      const local = importsOf(file, readFileSync(join(root, file), "utf8")).filter((name) => name.startsWith("."));
      return [file, new Set(local.flatMap((name) => resolved(file, name) ?? []))];
    }),
  );
}

/** One import circle as its module names, or null. */
function circle(graph: Graph): string[] | null {
  const done = new Set<string>();
  const walk = (name: string, path: readonly string[]): string[] | null => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return null;
    for (const next of graph.get(name) ?? []) {
      const found = walk(next, [...path, name]);
      if (found) return found;
    }
    done.add(name);
    return null;
  };
  for (const name of graph.keys()) {
    const found = walk(name, []);
    if (found) return found;
  }
  return null;
}

const folderOf = (file: string): string => (file.includes("/") ? (file.split("/")[0] as string) : "");

describe("imports", () => {
  const graph = readGraph(import.meta.dirname);

  it("are found in every form", () => {
    const text = `import a from "./a"; import type { B } from "./b"; export * from "./c"; export { d } from "./d";
      const e = () => import("./e"); let f: import("./f").F;`;
    expect(importsOf("x.ts", text)).toEqual(["./a", "./b", "./c", "./d", "./e", "./f"]);
    expect(graph.get("App.tsx")).toContain("panels/Viewer.tsx"); // lazy
    expect(graph.get("document/geometry.ts")).toContain("document/schema.ts"); // only types
  });

  it("form no circle", () => {
    const ring = new Map([
      ["a", new Set(["b"])],
      ["b", new Set(["c"])],
      ["c", new Set(["b"])],
    ]);
    expect(circle(ring)).toEqual(["b", "c", "b"]);
    expect(circle(graph)).toBeNull();
    expect(circle(new Map(Object.entries(ARROWS).map(([name, below]) => [name, new Set(below)])))).toBeNull();
  });

  it("follow only the allowed arrows", () => {
    const wrong = [...graph].flatMap(([file, imports]) => {
      const from = folderOf(file);
      if (from === "") return []; // the root component may import everything
      return [...imports]
        .filter((name) => folderOf(name) !== from && !ARROWS[from]?.includes(folderOf(name)))
        .map((name) => `${file} → ${name}`);
    });
    expect(wrong).toEqual([]);
  });

  it("of an app's page never lead to the canvas", () => {
    const reached = new Set(["app_page.tsx"]);
    for (const file of reached) for (const next of graph.get(file) ?? []) reached.add(next); // a Set's loop goes on
    expect(reached).toContain("panels/MaskPainter.tsx"); // lazy
    expect([...reached].filter((file) => file.startsWith("canvas/"))).toEqual([]);
  });
});
