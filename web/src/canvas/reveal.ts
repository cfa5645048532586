/** Brings a node into view, in any tab or subgraph. */

import { subgraphs } from "../document/document";
import { geometry } from "../document/geometry";
import { changeTab, current, editContext, levelOf, select, showTab, useEditor } from "../state/editor";
import { stage } from "./stage";

/** Show the node with the run-time id `a:b:c`: open its tab and subgraph, and centre the view on it. */
export function reveal({ tab, id }: { tab: string; id: string }): void {
  const found = useEditor.getState().tabs.find((entry) => entry.id === tab);
  if (!found) return;
  showTab(tab);
  const doc = found.history.present;
  const path: { holder: string; definition: string }[] = [];
  const ids = id.split(":");
  let nodes = doc.nodes;
  for (const holder of ids.slice(0, -1)) {
    const type = nodes.find((node) => String(node.id) === holder)?.type;
    const definition = type === undefined ? undefined : subgraphs(doc).get(type);
    if (!definition) break;
    path.push({ holder, definition: definition.id });
    nodes = definition.nodes;
  }
  // A node created during the run is represented by the node that created it.
  const last = (ids[path.length] ?? "").split(".")[0] ?? "";
  changeTab((before) => ({ ...before, path, app: false }));
  const node = levelOf(current()).nodes.find((entry) => String(entry.id) === last);
  if (!node) return;
  select([last]);
  const place = geometry(node, editContext());
  // First the canvas restores the last view of that tab.
  requestAnimationFrame(() => {
    if (!stage) return;
    const { width, height } = stage.size;
    const zoom = Math.max(0.8, Math.min(1, stage.view.zoom));
    stage.setView(
      { zoom, x: width / 2 - (place.x + place.width / 2) * zoom, y: height / 2 - (place.y + place.height / 2) * zoom },
      true,
    );
  });
}
