/** The Run button and its repeat options. */

import { type Key, useT } from "../i18n";
import { progressOf, useRuns } from "../state/runs";
import { REPEATS, type Repeat, run, setRepeat, stop, useRepeat } from "../state/submission";
import { Icon } from "./Icon";

const NAMES: Record<Repeat, Key> = { once: "repeat.once", change: "repeat.change", always: "repeat.always" };

export function RunButton() {
  const t = useT();
  const running = useRuns((state) => state.active.length > 0);
  const waiting = useRuns((state) => state.pending.length);
  const progress = useRuns(progressOf);
  const batch = useRuns((state) => state.batch);
  const repeat = useRepeat((state) => state.repeat);
  return (
    <div className="run">
      <input
        className="batch"
        type="number"
        min={1}
        max={100}
        value={batch}
        title={t("app.batchHint")}
        aria-label={t("app.batch")}
        onChange={(event) => useRuns.setState({ batch: Math.max(1, Math.min(100, Number(event.target.value) || 1)) })}
      />
      <div className="run-main">
        <button type="button" className="run-button" onClick={() => void run()} title={`${t("app.run")} (Ctrl+Enter)`}>
          <Icon name="play" />
          {t("app.run")}
          {waiting > 0 && (
            <span className="run-count" aria-label={t("run.waiting", { count: waiting })}>
              {waiting}
            </span>
          )}
        </button>
        <label
          className="run-repeat"
          data-on={repeat !== "once" || undefined}
          title={`${t("repeat.title")}: ${t(NAMES[repeat])}`}
        >
          <Icon name={repeat === "once" ? "chevron" : "retry"} />
          <select
            aria-label={t("repeat.title")}
            value={repeat}
            onChange={(event) => setRepeat(event.target.value as Repeat)}
          >
            {REPEATS.map((each) => (
              <option key={each} value={each}>
                {t(NAMES[each])}
              </option>
            ))}
          </select>
        </label>
        {running && <span className="run-progress" style={{ transform: `scaleX(${Math.max(0.03, progress)})` }} />}
      </div>
      {running && (
        <button
          type="button"
          className="icon-button stop"
          title={`${t("app.stop")} (Ctrl+Alt+Enter)`}
          aria-label={t("app.stop")}
          onClick={() => stop()}
        >
          <Icon name="stop" />
        </button>
      )}
    </div>
  );
}
