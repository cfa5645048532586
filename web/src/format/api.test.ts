/** The editor sends the same API dialect that the engine makes from the same file. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Doc } from "../document/document";
import { parseJson, writeJson } from "../document/json";
import { readCatalogue } from "../document/schema";
import { toNamedApi } from "./file_names";
import { sampleFiles as files, ROOT } from "./sample_files";

const PYTHON = process.env.SUMI_PYTHON ?? join(ROOT, ".venv/bin/python");

/** The engine's conversion of the files, and the catalogue it was made with. */
const ENGINE = `
import json, sys
from graph.node_types.describe import describe
from graph import Workflow
from graph.formats import load
from graph.writing.editor_document import editor_document
from nodes import registry

known = registry()
info = {name: describe(node_type, lambda folder: []) for name, node_type in known.items()}
files = {path: load(path, known) for path in sys.argv[1:]}
written = {path: editor_document(Workflow(file.nodes), known).document for path, file in files.items()}
json.dump({
    "info": info,
    "files": {path: file.to_api() for path, file in files.items()},
    "written": {path: {"doc": doc, "api": load(doc, known).to_api()} for path, doc in written.items()},
}, sys.stdout)
`;

interface Written {
  doc: Doc;
  api: unknown;
}

interface Answer {
  info: never;
  files: Record<string, unknown>;
  written: Record<string, Written>;
}

describe.skipIf(!existsSync(PYTHON))("API dialect", () => {
  const text = existsSync(PYTHON)
    ? execFileSync(PYTHON, ["-c", ENGINE, ...files], { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28 })
    : '{"info": {}, "files": {}, "written": {}}';
  const { info, files: expected, written } = parseJson(text) as unknown as Answer;
  const catalogue = readCatalogue(info);

  it.each(files)("of %s", (path) => {
    const doc = parseJson(readFileSync(join(ROOT, path), "utf8")) as unknown as Doc;
    expect(parseJson(writeJson(toNamedApi(doc, catalogue)))).toEqual(expected[path]);
  });

  it.each(files)("of %s, written as a document by the engine", (path) => {
    const { doc, api } = written[path] as Written;
    expect(parseJson(writeJson(toNamedApi(doc, catalogue)))).toEqual(api);
  });
});
