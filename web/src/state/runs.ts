/** What runs, how far it is, and what came of it: what the server says, by workflow and node. */

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
  /** What the node says of its work while at it. */
  text?: string;
  output?: Output;
  error?: string;
  problems?: Problem[];
}

export type NodeRuns = Readonly<Record<string, NodeRun>>;

/** Which tab a prompt was queued from, of how many nodes it is, and which of them take longer: their steps. */
export interface Origin {
  tab: string;
  nodes: number;
  steps: Readonly<Record<string, number>>;
}

/** How a tab's latest run is or went. */
export type Verdict = "running" | "done" | "failed" | "stopped";

interface Runs {
  /** By tab, then by the id a node has when it runs. */
  nodes: Readonly<Record<string, NodeRuns>>;
  jobs: Readonly<Record<string, Origin>>;
  /** By tab: the prompt that `nodes` speaks of. */
  shown: Readonly<Record<string, string>>;
  verdicts: Readonly<Record<string, Verdict>>;
  /** By prompt, 0..1; those at work. */
  progress: Readonly<Record<string, number>>;
  connected: boolean;
  /** Why nothing would run now; null: it would. */
  trouble: "unreachable" | "noWorker" | null;
  pending: QueueItem[];
  active: QueueItem[];
  paused: boolean;
  batch: number;
  /** Counts runs that ended, for those who show what was made. */
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

/** Of what runs first. */
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

/** Later, for it may still be on the screen. */
const discard = (preview: string) => setTimeout(() => URL.revokeObjectURL(preview), 500);

// -- what is sent -------------------------------------------------------------------------------------------------

/** Before it is sent: the first events of a cached run come before the answer. */
export function expect(promptId: string, origin: Origin): void {
  const recent = [...Object.entries(useRuns.getState().jobs).slice(-199), [promptId, origin] as const];
  rememberJobs(Object.fromEntries(recent));
}

/** Forget a prompt that the server rejected or no longer knows. */
export const unexpect = (promptId: string): void => rememberJobs(without(useRuns.getState().jobs, promptId));

function rememberJobs(jobs: Record<string, Origin>): void {
  useRuns.setState({ jobs });
  sessionStorage.setItem(JOBS, JSON.stringify(jobs));
}

/** What validation said takes the place of what it said before. */
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

/** A problem is gone as soon as its node is edited. */
export function forgive(tab: string, id: string): void {
  const patch = { problems: undefined, error: undefined, state: undefined };
  // Of a subgraph's node also what is inside.
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
    const { queue_running: active, queue_pending: pending, paused = false } = await server.queue();
    useRuns.setState({ active, pending, paused });
    void seeWhetherAnyoneWorks();
  } catch {
    // The socket says when the server is back; then this is asked again.
  }
}

let looking = false;

/** A queue that stands still without having been paused wants an explanation. */
async function seeWhetherAnyoneWorks(): Promise<void> {
  const stuck = () => {
    const { active, pending, paused } = useRuns.getState();
    return pending.length > 0 && !active.length && !paused;
  };
  if (looking) return;
  looking = true;
  try {
    while (stuck()) {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      if (stuck()) useRuns.setState({ trouble: (await server.isReady().catch(() => true)) ? null : "noWorker" });
    }
    if (useRuns.getState().trouble === "noWorker") useRuns.setState({ trouble: null });
  } finally {
    looking = false;
  }
}

export const setPaused = async (paused: boolean): Promise<void> => {
  await server.changeQueue({ pause: paused });
  await refreshQueue();
};

// -- what the server says -----------------------------------------------------------------------------------------

let started = false;

/** Listen to the server, for as long as the page lives. `onReturn` is called when it is back. */
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
    // Without metadata: of the one node at work.
    for (const [name, runs] of atWork()) {
      const running = Object.keys(runs).find((key) => runs[key]?.state === "running");
      if (running !== undefined) [tab, id] = [name, running];
    }
  } else if (tab && shown[tab] !== about.prompt_id) return;
  if (tab && id) amend(tab, [[id, { preview: URL.createObjectURL(picture) }]]);
}

/** Whether `nodes` of the prompt's tab speaks of this prompt. Where two of a tab run at once, it does of the first. */
function takesPart(tab: string, promptId: string, anew = false): boolean {
  const { shown, progress } = useRuns.getState();
  const other = shown[tab];
  if (other === promptId && !anew) return true;
  if (other !== promptId && other !== undefined && progress[other] !== undefined) return false;
  begin(tab, promptId);
  return true;
}

/** Take away all marks of a tab's run before; only what was made stays. */
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
  if (type === "executing" && data.node === null) return; // what ended it said so
  if (!takesPart(tab, promptId, type === "execution_start")) return;
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
      measure(promptId, origin);
      break;
    case "executed":
      amend(tab, [[String(data.display_node ?? data.node), { output: data.output as Output }]]);
      break;
  }
}

/** The prompts whose end was said to this page. */
const over = new Set<string>();

const ENDS: ReadonlySet<string> = new Set(["execution_success", "execution_error", "execution_interrupted"]);

function progressPatch(entry: Record<string, unknown>): [string, Partial<NodeRun>] {
  const state = entry.state === "pending" ? undefined : (entry.state as NodeRun["state"]);
  const patch = { state, value: entry.value as number, max: entry.max as number };
  const id = String(entry.display_node_id ?? entry.node_id);
  return [id, state === "finished" ? { ...patch, preview: undefined, text: undefined } : patch];
}

/** Of what has to be done at all. A sampler's step counts as much as another whole node. */
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

const nameOf = (tab: string): string => useEditor.getState().tabs.find((entry) => entry.id === tab)?.name ?? "";

function end(tab: string, promptId: string, type: string, data: Record<string, unknown>): void {
  const part = takesPart(tab, promptId);
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
    // The seconds that each node took are known to the job.
    void server.job(promptId).then(
      (job) => useRuns.getState().shown[tab] === promptId && showJob(tab, promptId, job),
      () => undefined,
    );
  }
  useRuns.setState((state) => ({ progress: without(state.progress, promptId), ended: state.ended + 1 }));
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

/** Nothing of a tab's nodes runs any more. */
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

/** A tab has been looked at: how its run went needs no mark any more. */
export function seen(tab: string): void {
  const verdict = useRuns.getState().verdicts[tab];
  if (verdict && verdict !== "running") useRuns.setState((state) => ({ verdicts: without(state.verdicts, tab) }));
}

// -- after a reload, or a connection that was lost ----------------------------------------------------------------

/** Ask for what was missed: of each tab the run at work, else the one begun last. */
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
      // What the socket says meanwhile is newer than this answer.
      const { shown, verdicts } = useRuns.getState();
      const going = job.status === "running" || job.status === "pending";
      const overtaken = shown[tab] === promptId ? job.status === "pending" : shown[tab] !== before[tab];
      if (overtaken || (going && over.has(promptId))) continue;
      if (shown[tab] === promptId && verdicts[tab] !== "running" && !going) continue; // nothing new
      if (shown[tab] !== promptId || !going) begin(tab, promptId);
      showJob(tab, promptId, job);
      if (before[tab] === undefined) seen(tab); // before this page was loaded
    } catch {
      return; // lost again; the next connection asks again
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

/** The tabs whose earlier runs have been asked for since the page was loaded. */
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
