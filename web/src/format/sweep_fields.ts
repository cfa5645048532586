/** The fields of a workflow that can be swept, named as the server names them. */

import { isUnseen } from "../document/custom_combo";
import type { Doc } from "../document/document";
import { changeLevel, mapNode } from "../document/edits";
import type { Catalogue, InputDef } from "../document/schema";
import { shownInputs } from "../document/widget_values";
import { setWidget } from "../document/widget_views";
import { type ApiWorkflow, FormatError, placedNodes, toApi } from "./api";

/** An input of a node of the run: node n inside the subgraph node p is `p:n`. */
export interface Place {
  node: string;
  input: string;
}

/** A field that can be swept. `title` is its node's. */
export interface SweepField extends Place {
  title: string;
  def: InputDef;
  value: unknown;
}

/** A field where it is shown: on which node of which level. */
export interface ShownField {
  /** The definitions of the open subgraphs, outermost first. */
  path: readonly string[];
  id: string;
  /** The node's id in the run. */
  flat: string;
  key: string;
}

export const samePlace = (one: Place, other: Place): boolean => one.node === other.node && one.input === other.input;

/** Every unlinked field of the workflow, in subgraphs too, in the order of the nodes. */
export function sweepFields(doc: Doc, catalogue: Catalogue): SweepField[] {
  const placed = unlessBroken(() => placedNodes(doc, catalogue), []);
  return placed.flatMap(({ id, node, inputs, runs }) => {
    const def = catalogue.get(node.type);
    if (!runs || !inputs || !def) return [];
    const title = node.title || def.label || def.title;
    return shownInputs(node, def).flatMap((input): SweepField[] => {
      const value = inputs[input.name];
      if (!input.widget || isUnseen(def, input.name) || value === undefined || Array.isArray(value)) return [];
      return [{ node: id, input: input.name, title, def: input, value }];
    });
  });
}

/** A value that no workflow has. */
const MARK = "\u0000swept";

/**
 * The input of the run that a field sets. null: it sets none, or several.
 *
 * The field may belong to a subgraph's node, a group node or a primitive, so its value is changed to see where it goes.
 */
export function placeOfField(doc: Doc, catalogue: Catalogue, { path, id, flat, key }: ShownField): Place | null {
  const marked = changeLevel(doc, path, (level) =>
    mapNode(level, id, (node) => setWidget(node, key, MARK, { doc, catalogue })),
  );
  const prompt = unlessBroken<ApiWorkflow>(() => toApi(marked, catalogue), {});
  const found = Object.entries(prompt).flatMap(([node, { inputs }]) =>
    Object.entries(inputs).flatMap(([input, value]) => (value === MARK ? [{ node, input }] : [])),
  );
  // A definition that is placed twice has the field in both places; only one of them is open.
  const own = found.filter(({ node }) => node === flat || node.startsWith(`${flat}:`));
  const [place, ...others] = own.length ? own : found;
  return place && !others.length ? place : null;
}

function unlessBroken<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return otherwise;
    throw error;
  }
}
