/** Reads a workflow of either dialect as a document for the canvas. */

import { type Doc, isDocument } from "../document/document";
import type { Catalogue } from "../document/schema";
import type { ApiWorkflow } from "./api";
import { fromApi } from "./from_api";
import { checkDocument, ShapeError } from "./shape";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Throws ShapeError for anything but a workflow. An editor's document is returned as the same object. */
export function readWorkflow(value: unknown, catalogue: Catalogue): Doc {
  if (isDocument(value)) {
    checkDocument(value);
    return value;
  }
  if (!isObject(value))
    throw new ShapeError("This JSON is not a workflow: expected an object with “nodes” or with nodes by id");
  if (isDocument(value.workflow)) return readWorkflow(value.workflow, catalogue);
  const api = (isObject(value.prompt) ? value.prompt : value) as ApiWorkflow;
  const entries = Object.entries(api);
  if (!entries.length) throw new ShapeError("This workflow is empty");
  for (const [id, node] of entries) {
    if (typeof node?.class_type !== "string")
      throw new ShapeError(`This JSON is not a workflow: “${id}” has no class_type, and there are no “nodes”`);
    const { inputs } = node;
    if (inputs !== undefined && !isObject(inputs)) throw new ShapeError(`${id}.inputs: expected an object`);
  }
  return fromApi(api, catalogue);
}
