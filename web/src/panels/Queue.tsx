/** The running, waiting and failed jobs. */

import { useEffect, useState } from "react";
import { useT } from "../i18n";
import { type JobLine, type QueueItem, server } from "../server/client";
import { useEditor } from "../state/editor";
import { notify } from "../state/notices";
import { refreshQueue, setPaused, useRuns } from "../state/runs";
import { Icon, type IconName } from "../widgets/Icon";

const RECENT = 8;

export function Queue() {
  const t = useT();
  const { active, pending, paused, mayPause, progress, ended } = useRuns();
  const [failed, setFailed] = useState<JobLine[]>([]);
  useEffect(() => {
    void server.jobs(["failed", "cancelled"], RECENT).then(
      ({ jobs }) => setFailed(jobs),
      () => undefined, // the next run requests the list again
    );
  }, [ended, active]);
  const change = async (what: Record<string, unknown>) => {
    try {
      await server.changeQueue(what);
    } catch {
      notify("error", "run.unreachable");
    }
    await refreshQueue();
  };
  const move = (index: number, to: number) => {
    const rest = pending.filter((_, at) => at !== index);
    void change({ move: { prompt_id: pending[index]?.[1], before: rest[to]?.[1] ?? null } });
  };
  const cancelAll = async () => {
    await change({ clear: true });
    for (const item of active) await server.interrupt(item[1]);
  };
  return (
    <div className="panel-body queue">
      <div className="panel-tools">
        {mayPause && (
          <button type="button" className="button" aria-pressed={paused} onClick={() => void setPaused(!paused)}>
            <Icon name={paused ? "play" : "pause"} /> {t(paused ? "queue.resume" : "queue.pause")}
          </button>
        )}
        <button
          type="button"
          className="button"
          disabled={!pending.length && !active.length}
          onClick={() => void cancelAll()}
        >
          <Icon name="trash" /> {t("queue.clear")}
        </button>
      </div>
      {paused && <p className="hint">{t("queue.paused")}</p>}
      {!active.length && !pending.length && <p className="hint">{t("queue.empty")}</p>}
      {active.length > 0 && <h3>{t("queue.running")}</h3>}
      {active.map((item) => (
        <Job key={item[1]} item={item} progress={progress[item[1]] ?? 0}>
          <Act icon="stop" label={t("app.stop")} act={() => void server.interrupt(item[1])} />
        </Job>
      ))}
      {pending.length > 0 && (
        <h3>
          {t("queue.waiting")} · {pending.length}
        </h3>
      )}
      {pending.map((item, index) => (
        <Job
          key={item[1]}
          item={item}
          onMove={(by) => index + by >= 0 && index + by < pending.length && move(index, index + by)}
        >
          <Act icon="up" label={t("queue.up")} act={() => move(index, index - 1)} disabled={index === 0} />
          <Act
            icon="down"
            label={t("queue.down")}
            act={() => move(index, index + 1)}
            disabled={index === pending.length - 1}
          />
          <Act icon="close" label={t("queue.cancel")} act={() => void change({ delete: [item[1]] })} />
        </Job>
      ))}
      {failed.length > 0 && <h3>{t("queue.failed")}</h3>}
      {failed.map((job) => (
        <Failed
          key={job.id}
          job={job}
          retry={() =>
            void change({ retry: [job.id] }).then(() => setFailed((before) => before.filter((other) => other !== job)))
          }
        />
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

/** The tab of the workflow that a prompt was queued from, if it is open here. */
function useOrigin(promptId: string): string | undefined {
  const tab = useRuns((state) => state.jobs[promptId]?.tab);
  return useEditor((state) => state.tabs.find((entry) => entry.id === tab)?.name);
}

interface JobProps {
  item: QueueItem;
  progress?: number;
  onMove?(by: -1 | 1): void;
  children: React.ReactNode;
}

function Job({ item, progress, onMove, children }: JobProps) {
  const t = useT();
  const [, id, prompt, extra] = item;
  const workflow = useOrigin(id);
  const text = promptText(prompt);
  const seed = seedText(prompt);
  const time = typeof extra.create_time === "number" ? new Date(extra.create_time).toLocaleTimeString() : "";
  return (
    <div
      className="job"
      title={id}
      onKeyDown={(event) => {
        if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
        event.preventDefault();
        onMove?.(event.key === "ArrowUp" ? -1 : 1);
      }}
    >
      <span className="job-text">
        <span className="job-name">{text || workflow || id.slice(0, 8)}</span>
        <small>{[text && workflow, seed && t("queue.seed", { seed }), time].filter(Boolean).join(" · ")}</small>
      </span>
      {progress !== undefined && <small className="job-share">{Math.round(progress * 100)} %</small>}
      {children}
      {progress !== undefined && <span className="job-progress" style={{ transform: `scaleX(${progress})` }} />}
    </div>
  );
}

function Failed({ job, retry }: { job: JobLine; retry(): void }) {
  const t = useT();
  const workflow = useOrigin(job.id);
  const message =
    job.status === "cancelled"
      ? t("queue.stopped")
      : String(job.execution_error?.exception_message ?? t("node.failed"));
  return (
    <div className="job" data-failed={job.status === "failed" || undefined} title={job.id}>
      <span className="job-text">
        <span className="job-name" title={message}>
          {message}
        </span>
        <small>
          {[workflow, new Date(job.execution_end_time ?? job.create_time).toLocaleTimeString()]
            .filter(Boolean)
            .join(" · ")}
        </small>
      </span>
      <Act icon="retry" label={t("queue.retry")} act={retry} />
    </div>
  );
}

/** A title for a job: its first text. */
export function promptText(prompt: QueueItem[2]): string {
  const texts = Object.values(prompt).flatMap((node) =>
    typeof node.inputs?.text === "string" ? [node.inputs.text] : [],
  );
  return texts.find((text) => text.trim()) ?? "";
}

/** The first seed among a job's inputs; "" if it has none. */
function seedText(prompt: QueueItem[2]): string {
  for (const { inputs } of Object.values(prompt)) {
    const seed = inputs?.seed ?? inputs?.noise_seed;
    if (typeof seed === "number" || typeof seed === "bigint") return String(seed);
  }
  return "";
}
