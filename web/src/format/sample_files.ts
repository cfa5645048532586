/** Workflows in the editor's dialect for tests: the examples and the test files. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDocument } from "../document/document";
import { parseJson } from "../document/json";

/** The repository's root. */
export const ROOT = join(import.meta.dirname, "../../..");

const FOLDERS = ["workflows", "tests/graph/formats/files", "tests/cases"];

/** Paths relative to the root. */
export const sampleFiles: string[] = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(folder, name))
    .filter((path) => isDocument(parseJson(readFileSync(join(ROOT, path), "utf8")))),
);
