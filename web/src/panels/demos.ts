/** Opens a small workflow that shows a node. */

import { demoOf } from "../document/demo";
import { moveNodes } from "../document/edits";
import { arranged } from "../document/layout";
import { withBends } from "../document/native_reroutes";
import { openTab, useEditor } from "../state/editor";

export async function openDemo(name: string): Promise<void> {
  const { catalogue } = useEditor.getState();
  const doc = demoOf(name, catalogue);
  const def = catalogue.get(name);
  if (!doc || !def) return;
  const { nodes, bends } = arranged(doc, { doc, catalogue });
  openTab(def.label ?? def.title, withBends(moveNodes(doc, nodes), bends) as typeof doc);
}
