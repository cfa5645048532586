/** Places for the nodes of a messy graph: left to right in the direction of data. */

import dagre from "@dagrejs/dagre";
import { type Level, linksOf } from "./document";
import { geometry, GRID, HEADER } from "./geometry";
import type { Surroundings } from "./widget_views";

export function arranged(level: Level, around: Surroundings, only?: ReadonlySet<string>): Map<string, [number, number]> {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 36, ranksep: 72, marginx: 40, marginy: 40 });
  graph.setDefaultEdgeLabel(() => ({}));
  const nodes = level.nodes.filter((node) => !only || only.has(String(node.id)));
  for (const node of nodes) {
    const { width, height } = geometry(node, around);
    graph.setNode(String(node.id), { width, height });
  }
  for (const link of linksOf(level)) {
    const [origin, target] = [String(link.origin_id), String(link.target_id)];
    if (graph.hasNode(origin) && graph.hasNode(target)) graph.setEdge(origin, target, {}, String(link.id));
  }
  dagre.layout(graph);
  const left = Math.min(...nodes.map((node) => geometry(node, around).x));
  const top = Math.min(...nodes.map((node) => geometry(node, around).y));
  const snap = (value: number) => Math.round(value / GRID) * GRID;
  return new Map(
    nodes.map((node) => {
      const place = graph.node(String(node.id));
      const { width, height, look } = geometry(node, around);
      const header = look === "reroute" ? 0 : HEADER;
      return [String(node.id), [snap(left - 40 + place.x - width / 2), snap(top - 40 + place.y - height / 2) + header]];
    }),
  );
}
