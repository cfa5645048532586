/** What a subgraph's node shows about the run of its inner nodes. */

import { useShallow } from "zustand/shallow";
import { type Doc, type GraphNode, NOTES, subgraphs } from "../document/document";
import { groupNodesIn } from "../document/group_nodes";
import { type NodeRun, type NodeRuns, useRuns } from "./runs";

export interface InsideRun {
  state: NodeRun["state"] | undefined;
  /** The share that is done, 0 to 1. */
  share: number;
  /** The inner node with an error, by its run-time id, and the message. */
  trouble: string | null;
  message: string;
}

const NOTHING: InsideRun = { state: undefined, share: 0, trouble: null, message: "" };

/** `holder`: the run-time id of the subgraph's node. `nodes`: the number of inner nodes. */
export function insideRun(runs: NodeRuns, holder: string, nodes: number): InsideRun {
  const prefix = `${holder}:`;
  let [done, running] = [0, false];
  let trouble: string | null = null;
  let message = "";
  for (const [id, run] of Object.entries(runs)) {
    if (!id.startsWith(prefix)) continue;
    const problem = run.problems?.[0];
    if (trouble === null && (run.error || problem)) {
      trouble = id;
      message = run.error || `${problem?.message}${problem?.details ? `: ${problem.details}` : ""}`;
    }
    if (run.state === "running") running = true;
    done += run.state === "finished" ? 1 : run.max ? (run.value ?? 0) / run.max : 0;
  }
  if (!running && trouble === null && !done) return NOTHING;
  const share = Math.min(1, done / Math.max(1, nodes));
  const state =
    trouble !== null
      ? "error"
      : running || (share > 0 && share < 1 && done !== Math.floor(done))
        ? "running"
        : done >= nodes
          ? "finished"
          : undefined;
  return { state, share, trouble, message };
}

/** The inner nodes of that run, with nested subgraphs flattened. null: it is a plain node. */
export function countInside(doc: Doc, node: GraphNode): number | null {
  const definitions = subgraphs(doc);
  if (!definitions.has(node.type)) return groupNodesIn(doc, node.type);
  const count = (type: string, depth: number): number =>
    depth > 50
      ? 0
      : (definitions.get(type)?.nodes ?? []).reduce((sum, inner) => {
          if (
            inner.mode === 2 ||
            inner.mode === 4 ||
            inner.type === "Reroute" ||
            inner.type === "PrimitiveNode" ||
            NOTES.has(inner.type)
          )
            return sum;
          return sum + (definitions.has(inner.type) ? count(inner.type, depth + 1) : 1);
        }, 0);
  return count(node.type, 0);
}

export const useInsideRun = (tab: string, holder: string, nodes: number | null): InsideRun =>
  useRuns(useShallow((state) => (nodes === null ? NOTHING : insideRun(state.nodes[tab] ?? {}, holder, nodes))));
