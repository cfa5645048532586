/** Shows over the canvas why nothing can run at the moment. */

import { useT } from "../i18n";
import { useEditor } from "../state/editor";
import { useRuns } from "../state/runs";

export function Connection() {
  const t = useT();
  const ready = useEditor((state) => state.catalogue.size > 0);
  const connected = useRuns((state) => state.connected);
  const trouble = useRuns((state) => state.trouble);
  const text =
    trouble === "noWorker"
      ? "app.noWorker"
      : !connected
        ? "app.lost"
        : trouble === "unreachable"
          ? "run.unreachable"
          : ready
            ? null
            : "app.loading";
  return (
    <div role="status">
      {text && (
        <p className="banner" data-kind={text === "app.loading" ? undefined : "trouble"}>
          {t(text)}
        </p>
      )}
    </div>
  );
}
