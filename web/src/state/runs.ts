/** The state of runs by workflow and node: progress, errors and outputs, as reported by the server. */

import { create } from "zustand";
import { newId } from "../document/ids";
import { type JobState, type Output, type Problem, type QueueItem, Refused, server } from "../server/client";
import { listen } from "../server/socket";
import { announce } from "./announce";
import { useEditor } from "./editor";
import { forgetUnreachable, notify } from "./notices";

export interface NodeRun {
  state?: "running" | "finished" | "error";
  value?: number;
  max?: number;
  cached?: boolean;
  seconds?: number;
  preview?: string;
  /** The text that the node shows during its work. */
  text?: string;
  output?: Output;
  error?: string;
  problems?: Problem[];
}

export type NodeRuns = Readonly<Record<string, NodeRun>>;

/** The tab a prompt was queued from, its number of nodes, and the steps of nodes that report progress. */
export interface Origin {
  tab: string;
  nodes: number;
  steps: Readonly<Record<string, number>>;
}

/** The state of a tab's latest run. */
export type Verdict = "running" | "done" | "failed" | "stopped";

interface Runs {
  /** By tab, then by run-time node id. */
  nodes: Readonly<Record<string, NodeRuns>>;
  jobs: Readonly<Record<string, Origin>>;
  /** By tab: the prompt that `nodes` describes. */
  shown: Readonly<Record<string, string>>;
  verdicts: Readonly<Record<string, Verdict>>;
  /** By prompt, 0..1; only running ones. */
  progress: Readonly<Record<string, number>>;
  connected: boolean;
  /** Why nothing can run now; null: it can. */
  trouble: "unreachable" | "noWorker" | null;
  pending: QueueItem[];
  active: QueueItem[];
  paused: boolean;
  /** False for a user of a server with several. */
  mayPause: boolean;
  batch: number;
  /** Counts ended runs, for panels that show results. */
  ended: number;
}

const JOBS = "sumi.jobs";

export const useRuns = create<Runs>(() => ({
  nodes: {},
  jobs: JSON.parse(sessionStorage.getItem(JOBS) ?? "{}") as Record<string, Origin>,
  shown: {},
  verdicts: {},
  progress: {},
  connected: true,
  trouble: null,
  pending: [],
  active: [],
  paused: false,
  mayPause: true,
  batch: 1,
  ended: 0,
}));

export const clientId = (() => {
  const known = sessionStorage.getItem("sumi.client") ?? newId();
  sessionStorage.setItem("sumi.client", known);
  return known;
})();

const NOTHING: NodeRuns = {};

export function useNodeRun(tab: string, id: string): NodeRun | undefined {
  return useRuns((state) => state.nodes[tab]?.[id]);
}

/** Of the first run in the queue. */
export const progressOf = (state: Runs): number => state.progress[state.active[0]?.[1] ?? ""] ?? 0;

function amend(tab: string, patches: Iterable<readonly [id: string, patch: Partial<NodeRun>]>): void {
  useRuns.setState((state) => {
    const nodes = { ...state.nodes[tab] };
    for (const [id, patch] of patches) {
      const before = nodes[id];
      if (before?.preview && "preview" in patch) discard(before.preview);
      nodes[id] = { ...before, ...patch };
    }
    return { nodes: { ...state.nodes, [tab]: nodes } };
  });
}

/** Delayed, since it may still be on the screen. */
const discard = (preview: string) => setTimeout(() => URL.revokeObjectURL(preview), 500);

// -- sending ------------------------------------------------------------------------------------------------------

/** Called before sending: the first events of a cached run arrive before the answer. */
export function expect(promptId: string, origin: Origin): void {
  const recent = [...Object.entries(useRuns.getState().jobs).slice(-199), [promptId, origin] as const];
  rememberJobs(Object.fromEntries(recent));
}

/** Remove a prompt that the server rejected or no longer knows. */
export const unexpect = (promptId: string): void => rememberJobs(without(useRuns.getState().jobs, promptId));

function rememberJobs(jobs: Record<string, Origin>): void {
  useRuns.setState({ jobs });
  sessionStorage.setItem(JOBS, JSON.stringify(jobs));
}

/** Replace the validation errors of the last attempt. */
export function showProblems(tab: string, errors: Record<string, { errors: Problem[] }>): void {
  const before = Object.entries(useRuns.getState().nodes[tab] ?? NOTHING);
  amend(
    tab,
    before.filter(([, run]) => run.problems).map(([id]) => [id, { problems: undefined }]),
  );
  amend(
    tab,
    Object.entries(errors).map(([id, { errors: problems }]) => [id, { problems }]),
  );
}

/** Remove a node's errors as soon as the node is edited. */
export function clearErrors(tab: string, id: string): void {
  const patch = { problems: undefined, error: undefined, state: undefined };
  // A subgraph's node includes the errors of its inner nodes.
  const mine = Object.entries(useRuns.getState().nodes[tab] ?? NOTHING).filter(
    ([own, run]) => (own === id || own.startsWith(`${id}:`)) && (run.problems || run.error),
  );
  if (mine.length)
    amend(
      tab,
      mine.map(([own]) => [own, patch] as const),
    );
}

// -- the queue ----------------------------------------------------------------------------------------------------

export async function refreshQueue(): Promise<void> {
  try {
    const { queue_running: active, queue_pending: pending, ...rest } = await server.queue();
    useRuns.setState({ active, pending, paused: rest.paused ?? false, mayPause: rest.may_pause ?? true });
    void checkWorkers();
  } catch {
    // The socket reports when the server is back; then this is requested again.
  }
}

let checking = false;

/** Check why a queue that is not paused makes no progress. */
async function checkWorkers(): Promise<void> {
  const stuck = () => {
    const { active, pending, paused } = useRuns.getState();
    return pending.length > 0 && !active.length && !paused;
  };
  if (checking) return;
  checking = true;
  try {
    while (stuck()) {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      if (stuck()) useRuns.setState({ trouble: (await server.isReady().catch(() => true)) ? null : "noWorker" });
    }
    if (useRuns.getState().trouble === "noWorker") useRuns.setState({ trouble: null });
  } finally {
    checking = false;
  }
}

export const setPaused = async (paused: boolean): Promise<void> => {
  await server.changeQueue({ pause: paused });
  await refreshQueue();
};

// -- events from the server ---------------------------------------------------------------------------------------

let started = false;

/** Receive the server's events while the page is open. `onReturn` is called when the server is back. */
export function connect(onReturn: () => void): void {
  if (started) return;
  started = true;
  listen(clientId, {
    message: receive,
    preview: receivePreview,
    text(id, text) {
      const [tab] = atWork().find(([, runs]) => runs[id]?.state === "running") ?? [];
      if (tab) amend(tab, [[id, { text }]]);
    },
    connected(again) {
      useRuns.setState({ connected: true });
      forgetUnreachable();
      void refreshQueue().then(catchUp);
      if (again) onReturn();
    },
    lost: () => useRuns.setState({ connected: false }),
  });
}

const atWork = () => Object.entries(useRuns.getState().nodes);

function receivePreview(picture: Blob, about: Record<string, unknown>): void {
  const { jobs, shown } = useRuns.getState();
  let tab = jobs[String(about.prompt_id ?? "")]?.tab;
  let id = String(about.display_node_id ?? about.node_id ?? "");
  if (about.prompt_id === undefined) {
    // Without metadata it belongs to the node that is running.
    for (const [name, runs] of atWork()) {
      const running = Object.keys(runs).find((key) => runs[key]?.state === "running");
      if (running !== undefined) [tab, id] = [name, running];
    }
  } else if (tab && shown[tab] !== about.prompt_id) return;
  if (tab && id) amend(tab, [[id, { preview: URL.createObjectURL(picture) }]]);
}

/** Whether `nodes` of the prompt's tab describes this prompt. If two prompts of a tab run, it describes the first. */
function isShown(tab: string, promptId: string, restarted = false): boolean {
  const { shown, progress } = useRuns.getState();
  const other = shown[tab];
  if (other === promptId && !restarted) return true;
  if (other !== promptId && other !== undefined && progress[other] !== undefined) return false;
  begin(tab, promptId);
  return true;
}

/** Remove all marks of a tab's previous run; only outputs stay. */
function begin(tab: string, promptId: string): void {
  useRuns.setState((state) => {
    const kept = Object.entries(state.nodes[tab] ?? NOTHING).flatMap(([id, run]) => {
      if (run.preview) discard(run.preview);
      return run.output ? [[id, { output: run.output }] as const] : [];
    });
    return {
      nodes: { ...state.nodes, [tab]: Object.fromEntries(kept) },
      shown: { ...state.shown, [tab]: promptId },
      verdicts: { ...state.verdicts, [tab]: "running" as const },
      progress: { ...state.progress, [promptId]: 0 },
    };
  });
}

function receive(type: string, data: Record<string, unknown>): void {
  if (type === "status") return void refreshQueue();
  const promptId = String(data.prompt_id ?? "");
  const origin = useRuns.getState().jobs[promptId];
  if (!origin) {
    if (ENDS.has(type)) useRuns.setState((state) => ({ ended: state.ended + 1 }));
    return;
  }
  const { tab } = origin;
  if (ENDS.has(type)) return void end(tab, promptId, type, data);
  if (type === "executing" && data.node === null) return; // the event that ended it has reported it
  if (!isShown(tab, promptId, type === "execution_start")) return;
  switch (type) {
    case "execution_start":
      announce("run.saidStarted", { name: nameOf(tab) });
      break;
    case "execution_cached":
      amend(
        tab,
        (data.nodes as string[]).map((id) => [id, { cached: true, state: "finished" }]),
      );
      break;
    case "executing":
      amend(tab, [[String(data.display_node ?? data.node), { state: "running", value: 0, max: 1 }]]);
      break;
    case "progress_state":
      amend(tab, Object.values(data.nodes as Record<string, Record<string, unknown>>).map(progressPatch));
      if (data.sweep) measureSweep(promptId, data.sweep as { done: number; total: number });
      else measure(promptId, origin);
      break;
    case "executed":
      amend(tab, [[String(data.display_node ?? data.node), { output: data.output as Output }]]);
      break;
  }
}

/** The prompts whose end was reported to this page. */
const over = new Set<string>();

const ENDS: ReadonlySet<string> = new Set(["execution_success", "execution_error", "execution_interrupted"]);

function progressPatch(entry: Record<string, unknown>): [string, Partial<NodeRun>] {
  const state = entry.state === "pending" ? undefined : (entry.state as NodeRun["state"]);
  const patch = { state, value: entry.value as number, max: entry.max as number };
  const id = String(entry.display_node_id ?? entry.node_id);
  return [id, state === "finished" ? { ...patch, preview: undefined, text: undefined } : patch];
}

/** The share of nodes that have to run. A sampler's step counts as much as another whole node. */
function measure(promptId: string, { tab, nodes, steps }: Origin): void {
  let whole = nodes;
  for (const count of Object.values(steps)) whole += count - 1;
  let done = 0;
  for (const [id, run] of Object.entries(useRuns.getState().nodes[tab] ?? NOTHING)) {
    const weight = steps[id] ?? 1;
    if (run.cached) whole -= weight;
    else if (run.state === "finished") done += weight;
    else if (run.state === "running" && run.max) done += (weight * (run.value ?? 0)) / run.max;
  }
  useRuns.setState((state) => ({
    progress: { ...state.progress, [promptId]: Math.min(1, done / Math.max(1, whole)) },
  }));
}

/** In a sweep, nodes run several times: the combinations count. */
function measureSweep(promptId: string, { done, total }: { done: number; total: number }): void {
  useRuns.setState((state) => ({ progress: { ...state.progress, [promptId]: done / Math.max(1, total) } }));
}

const nameOf = (tab: string): string => useEditor.getState().tabs.find((entry) => entry.id === tab)?.name ?? "";

function end(tab: string, promptId: string, type: string, data: Record<string, unknown>): void {
  const part = isShown(tab, promptId);
  const name = nameOf(tab);
  over.add(promptId);
  if (type === "execution_error") {
    const message = String(data.exception_message ?? "");
    announce("run.saidFailed", { name, message });
    notify("error", "run.failed", message, { tab, id: String(data.node_id ?? "") });
  } else announce(type === "execution_success" ? "run.saidDone" : "run.saidStopped", { name });
  if (part) {
    const verdict = ({ execution_success: "done", execution_error: "failed" } as const)[type] ?? "stopped";
    settle(tab, verdict);
    if (type === "execution_error" && data.node_id) amend(tab, [[String(data.node_id), failure(data)]]);
    if (verdict === "done" && nothingRan(tab)) notify("info", "run.unchanged", undefined, { tab });
    // The job knows the seconds of each node.
    void server.job(promptId).then(
      (job) => useRuns.getState().shown[tab] === promptId && showJob(tab, promptId, job),
      () => undefined,
    );
  }
  useRuns.setState((state) => ({ progress: without(state.progress, promptId), ended: state.ended + 1 }));
}

/** Whether every node's result came from the cache. */
function nothingRan(tab: string): boolean {
  const runs = Object.values(useRuns.getState().nodes[tab] ?? NOTHING);
  return runs.some((run) => run.cached) && runs.every((run) => run.cached || run.state === undefined);
}

const failure = (data: Record<string, unknown>): Partial<NodeRun> => ({
  state: "error",
  error: String(data.exception_message ?? ""),
  preview: undefined,
  text: undefined,
});

function without<T>(record: Readonly<Record<string, T>>, key: string): Record<string, T> {
  const { [key]: _, ...rest } = record;
  return rest;
}

/** None of the tab's nodes is running any more. */
function settle(tab: string, verdict: Verdict): void {
  const running = Object.entries(useRuns.getState().nodes[tab] ?? NOTHING).filter(
    ([, run]) => run.state === "running" || run.preview,
  );
  const state = verdict === "done" ? ("finished" as const) : undefined;
  amend(
    tab,
    running.map(([id]) => [id, { state, preview: undefined, text: undefined }]),
  );
  useRuns.setState((before) => ({ verdicts: { ...before.verdicts, [tab]: verdict } }));
}

/** The user has opened a tab: its result needs no mark any more. */
export function seen(tab: string): void {
  const verdict = useRuns.getState().verdicts[tab];
  if (verdict && verdict !== "running") useRuns.setState((state) => ({ verdicts: without(state.verdicts, tab) }));
}

// -- after a reload or a lost connection --------------------------------------------------------------------------

/** Request what was missed: for each tab the running prompt, or else the last one started. */
async function catchUp(): Promise<void> {
  const { jobs, pending, shown: before } = useRuns.getState();
  const waiting = new Set(pending.map((item) => item[1]));
  const working = new Set(useRuns.getState().active.map((item) => item[1]));
  const last = new Map<string, string>();
  for (const [promptId, { tab }] of Object.entries(jobs)) {
    if (!waiting.has(promptId) && !working.has(last.get(tab) ?? "")) last.set(tab, promptId);
  }
  useRuns.setState((state) => ({ ended: state.ended + 1 }));
  for (const [tab, promptId] of last) {
    try {
      await showEarlier(tab, promptId);
      const job = await known(promptId);
      if (!job) {
        if (useRuns.getState().verdicts[tab] === "running") settle(tab, "stopped");
        continue;
      }
      // Socket events that arrived in the meantime are newer than this answer.
      const { shown, verdicts } = useRuns.getState();
      const going = job.status === "running" || job.status === "pending";
      const superseded = shown[tab] === promptId ? job.status === "pending" : shown[tab] !== before[tab];
      if (superseded || (going && over.has(promptId))) continue;
      if (shown[tab] === promptId && verdicts[tab] !== "running" && !going) continue; // nothing new
      if (shown[tab] !== promptId || !going) begin(tab, promptId);
      showJob(tab, promptId, job);
      if (before[tab] === undefined) seen(tab); // ended before this page was loaded
    } catch {
      return; // disconnected again; the next connection requests it again
    }
  }
}

/** A job, or null if the server does not know it any more. */
async function known(promptId: string): Promise<JobState | null> {
  try {
    return await server.job(promptId);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    unexpect(promptId);
    return null;
  }
}

const EARLIER = 5;

/** The tabs whose earlier runs have been requested since the page was loaded. */
const recalled = new Set<string>();

/** After a reload, show an earlier run's outputs on the nodes for which the current run has none yet. */
async function showEarlier(tab: string, promptId: string): Promise<void> {
  if (recalled.has(tab)) return;
  recalled.add(tab);
  const ids = Object.entries(useRuns.getState().jobs).flatMap(([id, origin]) => (origin.tab === tab ? [id] : []));
  for (const id of ids.slice(0, ids.indexOf(promptId)).reverse().slice(0, EARLIER)) {
    const outputs = Object.entries((await known(id))?.outputs ?? {});
    if (!outputs.length) continue;
    const runs = useRuns.getState().nodes[tab] ?? NOTHING;
    return amend(
      tab,
      outputs.flatMap(([node, output]) => (runs[node]?.output ? [] : [[node, { output }] as const])),
    );
  }
}

function showJob(tab: string, promptId: string, job: JobState): void {
  amend(
    tab,
    Object.entries(job.outputs).map(([id, output]) => [id, { output }]),
  );
  amend(
    tab,
    Object.entries(job.timings).map(([id, seconds]) => [id, { seconds, state: "finished", preview: undefined }]),
  );
  amend(
    tab,
    (job.cached ?? []).map((id) => [id, { cached: true, state: "finished" }]),
  );
  if (job.status === "running") {
    useRuns.setState((state) => ({
      progress: { ...state.progress, [promptId]: job.progress },
      verdicts: { ...state.verdicts, [tab]: "running" },
    }));
    if (job.node) amend(tab, [[job.node, { state: "running" }]]);
    return;
  }
  if (job.status === "pending") return;
  if (useRuns.getState().verdicts[tab] === "running")
    settle(tab, ({ success: "done", error: "failed", interrupted: "stopped" } as const)[job.status]);
  if (job.error?.node_id) amend(tab, [[String(job.error.node_id), failure(job.error)]]);
  useRuns.setState((state) => ({ progress: without(state.progress, promptId) }));
}
