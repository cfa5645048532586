/** Subgraphs, as commands on what is selected. */

import { unwrap, wrap } from "../graph/subgraph_edits";
import { current, definitionPath, editDocument, select, surroundings } from "./editor";

export function makeSubgraph(): void {
  const tab = current();
  const made = wrap(tab.history.present, definitionPath(tab), tab.selection, "Subgraph", surroundings());
  if (!made) return;
  editDocument(() => made.doc);
  select([made.id]);
}

export function dissolveSelected(): void {
  const tab = current();
  const [id] = tab.selection;
  const made = id === undefined ? null : unwrap(tab.history.present, definitionPath(tab), id, surroundings());
  if (!made) return;
  editDocument(() => made.doc);
  select(made.ids);
}
