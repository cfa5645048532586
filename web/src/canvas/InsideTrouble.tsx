/** Shows an error inside a subgraph on the subgraph's node, with a button to go there. */

import { useT } from "../i18n";
import { current } from "../state/editor";
import type { InsideRun } from "../state/inside_runs";
import { reveal } from "./reveal";

export function InsideTrouble({ inside }: { inside: InsideRun }) {
  const t = useT();
  const { trouble, message } = inside;
  if (trouble === null) return null;
  return (
    <div className="node-trouble nodrag nopan nowheel" role="alert">
      <p>{message}</p>
      <button type="button" className="button small" onClick={() => reveal({ tab: current().id, id: trouble })}>
        {t("subgraph.showTrouble")}
      </button>
    </div>
  );
}
