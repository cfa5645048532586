/** Creates nodes, notes, reroutes and subgraph definitions, and finds a free place for them. */

import { type GraphNode, type Id, type Level, position, type Subgraph } from "./document";
import { newSlot } from "./dynamic_inputs";
import type { NodeDef } from "./schema";
import { newValues, shownInputs } from "./widget_values";

const EMPTY = { flags: {}, order: 0, mode: 0, inputs: [], outputs: [], properties: {} };

/** A new node of that type. */
export function newNode(def: NodeDef, id: Id, at: [number, number]): GraphNode {
  const node: GraphNode = {
    id,
    type: def.name,
    pos: at,
    size: [def.inputs.some((input) => input.widget === "multiline") ? 340 : 270, 60],
    flags: {},
    order: 0,
    mode: 0,
    outputs: def.outputs.map(({ name, type }, slot_index) => ({ name, type, links: null, slot_index })),
    properties: { "Node name for S&R": def.name },
    widgets_values: newValues(def),
  };
  return {
    ...node,
    inputs: shownInputs(node, def)
      .filter(({ widget }) => widget === null)
      .map(newSlot),
  };
}

/** A note of one of its kinds: text beside the nodes. */
export function newNote(type: string, id: Id, at: [number, number]): GraphNode {
  return { ...EMPTY, id, type, pos: at, size: [240, 120], widgets_values: [""] };
}

export function newReroute(id: Id, at: [number, number], type = "*"): GraphNode {
  return {
    ...EMPTY,
    id,
    type: "Reroute",
    pos: at,
    size: [75, 26],
    inputs: [{ name: "", type: "*", link: null }],
    outputs: [{ name: "", type, links: null, slot_index: 0 }],
    properties: { showOutputText: false, horizontal: false },
  };
}

/** The ids of a new subgraph's two edge nodes. */
export const INPUT = -10;
export const OUTPUT = -20;

/** An empty definition with every field that other front ends expect. */
export function newSubgraph(id: string, name: string, lastNodeId: number): Subgraph {
  return {
    id,
    version: 1,
    name,
    state: { lastGroupId: 0, lastNodeId, lastLinkId: 0, lastRerouteId: 0 },
    revision: 0,
    config: {},
    inputNode: { id: INPUT },
    outputNode: { id: OUTPUT },
    inputs: [],
    outputs: [],
    widgets: [],
    nodes: [],
    groups: [],
    links: [],
    extra: {},
  };
}

/** Least distance between the corners of new nodes, in both directions. */
const APART = 20;
const BESIDE = 30;

/** `at`, or the first place to its lower right where no corner in `corners` covers the corner of another node. */
export function freeSpot(
  level: Level,
  at: readonly [number, number],
  corners: readonly (readonly [number, number])[] = [at],
): [number, number] {
  const used = level.nodes.map(position);
  const covers = (by: number) =>
    corners.some(([x, y]) =>
      used.some(([left, top]) => Math.abs(x + by - left) < APART && Math.abs(y + by - top) < APART),
    );
  let by = 0;
  while (covers(by)) by += BESIDE;
  return [at[0] + by, at[1] + by];
}
