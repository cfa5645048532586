/** Going to a node, wherever it is. */

import { subgraphs } from "../document/document";
import { geometry } from "../document/geometry";
import { changeTab, current, levelOf, select, showTab, surroundings, useEditor } from "../state/editor";
import { stage } from "./stage";

/** Show the node that has the id `a:b:c` when the workflow runs: its tab, its subgraph, in the middle. */
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
  // A node made while running stands for the one that made it.
  const last = (ids[path.length] ?? "").split(".")[0] ?? "";
  changeTab((before) => ({ ...before, path }));
  const node = levelOf(current()).nodes.find((entry) => String(entry.id) === last);
  if (!node) return;
  select([last]);
  const place = geometry(node, surroundings());
  // The canvas first goes where one looked in that tab last.
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
