/** What runs and what waits. */

import { useEffect, useState } from "react";
import { useT } from "../i18n";
import { type QueueItem, server } from "../server/client";
import { refreshQueue, setPaused, useRuns } from "../state/runs";
import { Icon, type IconName } from "../widgets/Icon";

export function Queue() {
  const t = useT();
  const { active, pending, paused, progress, ended } = useRuns();
  const [failed, setFailed] = useState<string[]>([]);
  useEffect(() => {
    void server.history(30).then(
      (history) => setFailed(Object.entries(history).filter(([, entry]) => entry.status.status_str === "error").map(([id]) => id).reverse()),
      () => undefined, // the list is asked for again with the next run
    );
  }, [ended]);
  const change = async (what: Record<string, unknown>) => {
    await server.changeQueue(what);
    await refreshQueue();
  };
  const move = (index: number, by: -1 | 1) => {
    const id = pending[index]?.[1];
    const before = by < 0 ? pending[index - 1]?.[1] : (pending[index + 2]?.[1] ?? null);
    void change({ move: { prompt_id: id, before } });
  };
  return (
    <div className="panel-body queue">
      <div className="panel-tools">
        <button type="button" className="button" aria-pressed={paused} onClick={() => void setPaused(!paused)}>
          <Icon name={paused ? "play" : "pause"} /> {t(paused ? "queue.resume" : "queue.pause")}
        </button>
        <button type="button" className="button" disabled={!pending.length} onClick={() => void change({ clear: true })}>
          <Icon name="trash" /> {t("queue.clear")}
        </button>
      </div>
      {paused && <p className="hint">{t("queue.paused")}</p>}
      {!active.length && !pending.length && <p className="hint">{t("queue.empty")}</p>}
      {active.length > 0 && <h3>{t("queue.running")}</h3>}
      {active.map((item) => (
        <Job key={item[1]} item={item} progress={progress}>
          <Act icon="stop" label={t("app.stop")} act={() => void server.interrupt(item[1])} />
        </Job>
      ))}
      {pending.length > 0 && <h3>{t("queue.waiting")}</h3>}
      {pending.map((item, index) => (
        <Job key={item[1]} item={item}>
          <Act icon="up" label={t("queue.up")} act={() => move(index, -1)} disabled={index === 0} />
          <Act icon="down" label={t("queue.down")} act={() => move(index, 1)} disabled={index === pending.length - 1} />
          <Act icon="close" label={t("queue.cancel")} act={() => void change({ delete: [item[1]] })} />
        </Job>
      ))}
      {failed.length > 0 && <h3>{t("queue.failed")}</h3>}
      {failed.slice(0, 8).map((id) => (
        <div className="job" key={id}>
          <span className="job-name">{id.slice(0, 8)}</span>
          <Act icon="retry" label={t("queue.retry")} act={() => void change({ retry: [id] }).then(() => setFailed((before) => before.filter((other) => other !== id)))} />
        </div>
      ))}
    </div>
  );
}

function Act({ icon, label, act, disabled }: { icon: IconName; label: string; act(): void; disabled?: boolean }) {
  return (
    <button type="button" className="icon-button" title={label} aria-label={label} onClick={act} disabled={disabled}>
      <Icon name={icon} />
    </button>
  );
}

function Job({ item, progress, children }: { item: QueueItem; progress?: number; children: React.ReactNode }) {
  const [number, id, prompt] = item;
  const text = promptText(prompt);
  return (
    <div className="job" title={id}>
      <span className="job-number">{Math.round(number)}</span>
      <span className="job-name">{text || id.slice(0, 8)}</span>
      {children}
      {progress !== undefined && <span className="job-progress" style={{ transform: `scaleX(${progress})` }} />}
    </div>
  );
}

/** What a person would call a job: the longest text in it. */
export function promptText(prompt: QueueItem[2]): string {
  const texts = Object.values(prompt).flatMap((node) => (typeof node.inputs?.text === "string" ? [node.inputs.text] : []));
  return texts.find((text) => text.trim()) ?? "";
}
