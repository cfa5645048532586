/** Workflows in the editor's dialect that tests read: the examples, the engine's test files and the editor's own. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDocument } from "../document/document";
import { parseJson } from "../document/json";

/** The repository's root. */
export const ROOT = join(import.meta.dirname, "../../..");

const FOLDERS = ["workflows", "tests/graph/formats/files", "web/src/format/files"];

/** Paths from the root. */
export const sampleFiles: string[] = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(folder, name))
    .filter((path) => isDocument(parseJson(readFileSync(join(ROOT, path), "utf8")))),
);
