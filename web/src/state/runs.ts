/** What runs, how far it is, and what came of it. */

import { create } from "zustand";
import { FormatError, toApi } from "../format/api";
import { withChosenPrompts, withFilledNames } from "../format/substitutions";
import { control, widgetInputs, widgetValues, withWidget } from "../format/widgets";
import { type Doc, type GraphNode, type Level, linksById } from "../graph/document";
import { mapEveryNode } from "../graph/edits";
import type { InputDef } from "../graph/schema";
import { type JobState, type Output, type Problem, type QueueItem, Refused, server } from "../server/client";
import { listen } from "../server/socket";
import { amendDocument, current, useEditor } from "./editor";
import { notify } from "./notices";

export interface NodeRun {
  state?: "running" | "finished" | "error";
  value?: number;
  max?: number;
  cached?: boolean;
  seconds?: number;
  preview?: string;
  output?: Output;
  error?: string;
  problems?: Problem[];
}

export type NodeRuns = Readonly<Record<string, NodeRun>>;

interface Runs {
  /** By tab, then by the id a node has when it runs. */
  nodes: Readonly<Record<string, NodeRuns>>;
  /** Which tab a prompt belongs to. */
  jobs: Readonly<Record<string, string>>;
  running: string | null;
  progress: number;
  connected: boolean;
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
  jobs: JSON.parse(sessionStorage.getItem(JOBS) ?? "{}") as Record<string, string>,
  running: null,
  progress: 0,
  connected: true,
  pending: [],
  active: [],
  paused: false,
  batch: 1,
  ended: 0,
}));

const clientId = (() => {
  const known = sessionStorage.getItem("sumi.client") ?? crypto.randomUUID();
  sessionStorage.setItem("sumi.client", known);
  return known;
})();

const NOTHING: NodeRuns = {};

export function useNodeRun(tab: string, id: string): NodeRun | undefined {
  return useRuns((state) => state.nodes[tab]?.[id]);
}

function change(tab: string, id: string, patch: Partial<NodeRun>): void {
  useRuns.setState((state) => {
    const nodes = state.nodes[tab] ?? NOTHING;
    return { nodes: { ...state.nodes, [tab]: { ...nodes, [id]: { ...nodes[id], ...patch } } } };
  });
}

/** Apply to every node of a tab's last run; only what was made stays. */
function fresh(tab: string): void {
  useRuns.setState((state) => {
    const kept = Object.entries(state.nodes[tab] ?? NOTHING).flatMap(([id, run]) => {
      if (run.preview) URL.revokeObjectURL(run.preview);
      return run.output ? [[id, { output: run.output }] as const] : [];
    });
    return { nodes: { ...state.nodes, [tab]: Object.fromEntries(kept) } };
  });
}

/** Queue the open workflow, as many times as the batch count says. */
export async function run(front = false): Promise<void> {
  const { batch } = useRuns.getState();
  for (let turn = 0; turn < batch; turn += 1) if (!(await submit(front))) return;
}

async function submit(front: boolean): Promise<boolean> {
  const tab = current();
  const { catalogue } = useEditor.getState();
  const workflow = withChosenPrompts(tab.history.present, catalogue);
  try {
    const prompt = toApi(withFilledNames(workflow, catalogue), catalogue);
    // Known before it is sent: the first events of a cached run come before the answer.
    const prompt_id = crypto.randomUUID();
    useRuns.setState((state) => ({ jobs: { ...state.jobs, [prompt_id]: tab.id } }));
    const body = { prompt, prompt_id, client_id: clientId, front, extra_data: { extra_pnginfo: { workflow } } };
    const answer = await server.submit(body);
    keepJobs();
    showProblems(tab.id, answer.node_errors);
    amendDocument(tab.id, afterRun);
    void refreshQueue();
    return true;
  } catch (error) {
    if (error instanceof Refused) {
      showProblems(tab.id, error.nodeErrors);
      const placed = Object.keys(error.nodeErrors).length > 0;
      notify("error", placed ? "run.invalid" : "run.refused", placed ? undefined : `${error.message} ${error.details}`.trim());
    } else if (error instanceof FormatError) notify("error", "run.refused", error.message);
    else notify("error", "run.unreachable");
    return false;
  }
}

function showProblems(tab: string, errors: Record<string, { errors: Problem[] }>): void {
  useRuns.setState((state) => {
    const nodes = Object.fromEntries(
      Object.entries(state.nodes[tab] ?? NOTHING).map(([id, run]) => [id, run.problems ? { ...run, problems: undefined } : run]),
    );
    for (const [id, { errors: problems }] of Object.entries(errors)) nodes[id] = { ...nodes[id], problems };
    return { nodes: { ...state.nodes, [tab]: nodes } };
  });
}

/** A problem is gone as soon as its node is edited. */
export function forgive(tab: string, id: string): void {
  const run = useRuns.getState().nodes[tab]?.[id];
  if (run?.problems || run?.error) change(tab, id, { problems: undefined, error: undefined, state: undefined });
}

/** Seeds move on as their nodes say. */
const afterRun = (doc: Doc): Doc => mapEveryNode(doc, advanced);

function advanced(node: GraphNode, level: Level): GraphNode {
  const def = useEditor.getState().catalogue.get(node.type);
  if (!def) return node;
  let after = node;
  for (const input of widgetInputs(node, def)) {
    if (!input.controlled) continue;
    const slot = node.inputs?.find((candidate) => candidate.widget?.name === input.name);
    if (slot?.link !== null && slot?.link !== undefined && linksById(level).has(String(slot.link))) continue;
    const value = nextValue(input, widgetValues(node, def)[input.name], control(node, def, input.name));
    if (value !== undefined) after = withWidget(after, def, input.name, value);
  }
  return after;
}

const MAX_RANDOM = 2 ** 50;

function nextValue(input: InputDef, value: unknown, mode: string): unknown {
  if (mode === "fixed") return undefined;
  if (input.choices) {
    const at = input.choices.indexOf(value);
    const count = input.choices.length;
    if (mode === "randomize") return input.choices[Math.floor(Math.random() * count)];
    return input.choices[Math.min(count - 1, Math.max(0, at + (mode === "increment" ? 1 : -1)))];
  }
  const least = Number(input.min ?? 0);
  const most = Math.min(Number(input.max ?? MAX_RANDOM), MAX_RANDOM);
  if (mode === "randomize") return least + Math.floor(Math.random() * (most - least + 1));
  const next = BigInt(value as number) + (mode === "increment" ? 1n : -1n);
  if (next < BigInt(least) || next > BigInt(input.max ?? MAX_RANDOM)) return undefined;
  return next <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(next) : next;
}

function keepJobs(): void {
  const recent = Object.entries(useRuns.getState().jobs).slice(-200);
  sessionStorage.setItem(JOBS, JSON.stringify(Object.fromEntries(recent)));
}

export async function refreshQueue(): Promise<void> {
  try {
    const { queue_running, queue_pending, paused } = await server.queue();
    const running = queue_running[0]?.[1] ?? null;
    useRuns.setState({ active: queue_running, pending: queue_pending, paused: paused ?? false, ...(running ? {} : { running: null }) });
  } catch {
    // The socket says when the server is back; then this is asked again.
  }
}

export const setPaused = async (paused: boolean): Promise<void> => {
  await server.changeQueue({ pause: paused });
  await refreshQueue();
};

let started = false;

/** Listen to the server, for as long as the page lives. */
export function connect(): void {
  if (started) return;
  started = true;
  listen(clientId, {
    message: receive,
    preview(picture, about) {
      const { running, jobs } = useRuns.getState();
      const promptId = String(about.prompt_id ?? running ?? "");
      const tab = jobs[promptId];
      const id = String(about.display_node_id ?? about.node_id ?? "");
      if (!tab || !id) return;
      const before = useRuns.getState().nodes[tab]?.[id]?.preview;
      change(tab, id, { preview: URL.createObjectURL(picture) });
      if (before) setTimeout(() => URL.revokeObjectURL(before), 500);
    },
    connected() {
      useRuns.setState({ connected: true });
      void refreshQueue();
      void catchUp();
    },
    lost: () => useRuns.setState({ connected: false }),
  });
}

/** After a reload or a lost connection: ask for what was missed. */
async function catchUp(): Promise<void> {
  const { jobs } = useRuns.getState();
  const last = new Map<string, string>();
  for (const [promptId, tab] of Object.entries(jobs)) last.set(tab, promptId);
  for (const [tab, promptId] of last) {
    try {
      show(tab, promptId, await server.job(promptId));
    } catch (error) {
      if (!(error instanceof Refused)) return; // lost again; the next connection asks again
    }
  }
}

function show(tab: string, promptId: string, job: JobState): void {
  for (const [id, output] of Object.entries(job.outputs)) change(tab, id, { output });
  for (const [id, seconds] of Object.entries(job.timings)) change(tab, id, { seconds, state: "finished", preview: undefined });
  for (const id of job.cached ?? []) change(tab, id, { cached: true, state: "finished" });
  if (job.status === "running") {
    useRuns.setState({ running: promptId, progress: job.progress });
    if (job.node) change(tab, job.node, { state: "running" });
  }
  if (job.error?.node_id) failed(tab, job.error);
  else if (job.status === "interrupted") stopped(tab);
}

function failed(tab: string, data: Record<string, unknown>): void {
  change(tab, String(data.node_id), { state: "error", error: String(data.exception_message ?? ""), preview: undefined });
}

/** Nothing of a tab's nodes runs any more. */
function stopped(tab: string): void {
  for (const [id, run] of Object.entries(useRuns.getState().nodes[tab] ?? NOTHING)) {
    if (run.state === "running") change(tab, id, { state: undefined, preview: undefined });
  }
}

function receive(type: string, data: Record<string, unknown>): void {
  if (type === "status") return void refreshQueue();
  const promptId = String(data.prompt_id ?? "");
  const tab = useRuns.getState().jobs[promptId];
  if (!tab) return;
  switch (type) {
    case "execution_start":
      fresh(tab);
      useRuns.setState({ running: promptId, progress: 0 });
      break;
    case "execution_cached":
      for (const id of data.nodes as string[]) change(tab, id, { cached: true, state: "finished" });
      break;
    case "executing":
      if (data.node !== null) {
        useRuns.setState({ running: promptId });
        change(tab, String(data.display_node ?? data.node), { state: "running", value: 0, max: 1 });
      } else {
        useRuns.setState((state) => ({ running: state.running === promptId ? null : state.running, progress: 0, ended: state.ended + 1 }));
      }
      break;
    case "progress_state":
      for (const entry of Object.values(data.nodes as Record<string, Record<string, unknown>>)) {
        const state = entry.state as NodeRun["state"];
        const patch = { state, value: entry.value as number, max: entry.max as number };
        change(tab, String(entry.display_node_id ?? entry.node_id), state === "finished" ? { ...patch, preview: undefined } : patch);
      }
      measureProgress(tab);
      break;
    case "executed":
      change(tab, String(data.display_node ?? data.node), { output: data.output as Output });
      break;
    case "execution_error":
      failed(tab, data);
      stopped(tab);
      break;
    case "execution_interrupted":
      stopped(tab);
      break;
    case "execution_success":
      stopped(tab);
      void server.job(promptId).then((job) => show(tab, promptId, job), () => undefined);
      break;
  }
}

function measureProgress(tab: string): void {
  const runs = Object.values(useRuns.getState().nodes[tab] ?? NOTHING);
  const doc = useEditor.getState().tabs.find((entry) => entry.id === tab)?.history.present;
  const done = runs.reduce((sum, run) => sum + (run.state === "finished" ? 1 : run.max ? (run.value ?? 0) / run.max : 0), 0);
  useRuns.setState({ progress: Math.min(1, done / Math.max(1, doc?.nodes.length ?? 1)) });
}
