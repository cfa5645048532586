/** The problems that the server found in a field. */

import { useTab } from "../state/editor";
import { useRuns } from "../state/runs";
import type { ShownField } from "./shown_fields";

export function Trouble({ shown: { field } }: { shown: ShownField }) {
  const tab = useTab((open) => open.id);
  const runs = useRuns((state) => state.nodes[tab]);
  const problems = field.targets.flatMap(([node, input]) =>
    (runs?.[node]?.problems ?? []).filter((problem) => problem.extra_info?.input_name === input),
  );
  if (!problems.length) return null;
  return (
    <p className="app-problem" role="alert">
      {problems.map(({ message, details }) => [message, details].filter(Boolean).join(": ")).join(" ")}
    </p>
  );
}
