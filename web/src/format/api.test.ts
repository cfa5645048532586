/** The API dialect that the editor sends is the one the engine reads from the same file. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Doc } from "../document/document";
import { parseJson, writeJson } from "../document/json";
import { readCatalogue } from "../document/schema";
import { toApi } from "./api";
import { sampleFiles as files, ROOT } from "./sample_files";
import { withFilledNames } from "./substitutions";

const PYTHON = process.env.SUMI_PYTHON ?? join(ROOT, ".venv/bin/python");

/** What the engine makes of the files, and the catalogue it does so with. */
const ENGINE = `
import json, sys
from graph.node_types.describe import describe
from graph.formats import load
from nodes import registry

known = registry()
info = {name: describe(node_type, lambda folder: []) for name, node_type in known.items()}
json.dump({"info": info, "files": {path: load(path, known).to_api() for path in sys.argv[1:]}}, sys.stdout)
`;

describe.skipIf(!existsSync(PYTHON))("API dialect", () => {
  const text = existsSync(PYTHON)
    ? execFileSync(PYTHON, ["-c", ENGINE, ...files], { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28 })
    : '{"info": {}, "files": {}}';
  const { info, files: expected } = parseJson(text) as unknown as { info: never; files: Record<string, unknown> };
  const catalogue = readCatalogue(info);

  it.each(files)("of %s", (path) => {
    const doc = parseJson(readFileSync(join(ROOT, path), "utf8")) as unknown as Doc;
    expect(parseJson(writeJson(toApi(withFilledNames(doc, catalogue), catalogue)))).toEqual(expected[path]);
  });
});
