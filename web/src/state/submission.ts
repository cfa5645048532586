/** Sends workflows to the server: once, several times, on every change, or continuously. */

import { create } from "zustand";
import { newId } from "../document/ids";
import { writeJson } from "../document/json";
import type { Catalogue } from "../document/schema";
import { type ApiWorkflow, FormatError, toApi } from "../format/api";
import { withChosenPrompts } from "../format/dynamic_prompts";
import { toNamedApi } from "../format/file_names";
import { Refused, server } from "../server/client";
import { activeTab, amendDocument, current, editDocument, type Tab, useEditor } from "./editor";
import { forgetRefusals, forgetRuns, notify } from "./notices";
import { clientId, expect, refreshQueue, showProblems, unexpect, useRuns } from "./runs";
import { advanced, reseeded, type SentValues, valuesSent } from "./seeds";
import { useSettings } from "./settings";
import type { Axis } from "./sweeps";

export const REPEATS = ["once", "change", "always"] as const;
export type Repeat = (typeof REPEATS)[number];

export const useRepeat = create<{ repeat: Repeat }>(() => ({ repeat: "once" }));

/** Queue the open workflow as many times as the batch count says, even if another tab is opened meanwhile. */
export async function run(front = false): Promise<void> {
  const { batch } = useRuns.getState();
  const { id } = current();
  forgetRuns(id);
  for (let turn = 0; turn < batch; turn += 1) if (!(await submit(id, front))) return;
}

/** Interrupt the run that is in progress. */
export const stop = (): void => void server.interrupt();

/** Queue the open workflow once as a sweep. `confirmed`: the user agreed to many pictures. False: it was refused. */
export function runSweep(sweep: readonly Axis[], confirmed: boolean): Promise<boolean> {
  const { id } = current();
  forgetRuns(id);
  return submit(id, false, { sweep, ...(confirmed ? { sweep_confirmed: true } : {}) });
}

/** Draw new seeds in the open workflow, as one undo step, and run it. */
export function runWithNewSeeds(): Promise<void> {
  const { catalogue } = useEditor.getState();
  editDocument((doc) => reseeded(doc, catalogue));
  return run();
}

const SENT = "sumi.sent";

/** By tab, the controlled values of its last run. A reload keeps them. */
let sentBy = JSON.parse(sessionStorage.getItem(SENT) ?? "{}") as Record<string, SentValues>;

function rememberSent(tab: string, values: SentValues | undefined): void {
  const open = new Set(useEditor.getState().tabs.map(({ id }) => id));
  const others = Object.entries(sentBy).filter(([id]) => open.has(id) && id !== tab);
  sentBy = { ...Object.fromEntries(others), ...(values ? { [tab]: values } : {}) };
  sessionStorage.setItem(SENT, JSON.stringify(sentBy));
}

/** The nodes that the server has; a page that has just opened may still be waiting for them. */
function knownCatalogue(): Promise<Catalogue> {
  const { catalogue } = useEditor.getState();
  if (catalogue.size) return Promise.resolve(catalogue);
  return new Promise((resolve) => {
    const done = () => {
      stopListening();
      clearTimeout(timer);
      resolve(useEditor.getState().catalogue);
    };
    const stopListening = useEditor.subscribe((now) => now.catalogue.size && done());
    const timer = setTimeout(done, 10_000);
  });
}

/** False: it was refused, or its tab is closed. */
async function submit(id: string, front: boolean, more: Record<string, unknown> = {}): Promise<boolean> {
  const find = () => useEditor.getState().tabs.find((entry) => entry.id === id);
  const catalogue = await knownCatalogue();
  if (!find()) return false;
  const before = useSettings.getState().seeds === "before";
  const last = sentBy[id];
  if (before && last) amendDocument(id, (doc) => advanced(doc, catalogue, last));
  const tab = find() as Tab;
  const doc = tab.history.present;
  const workflow = withChosenPrompts(doc, catalogue);
  const prompt_id = newId();
  try {
    const prompt = toNamedApi(workflow, catalogue);
    sent = meaning(); // the seeds that just changed are no change by the user
    expect(prompt_id, { tab: tab.id, nodes: Object.keys(prompt).length, steps: stepsOf(prompt) });
    const body = {
      prompt,
      prompt_id,
      client_id: clientId,
      front,
      extra_data: { extra_pnginfo: { workflow }, ...more },
    };
    rememberSent(tab.id, valuesSent(doc, catalogue)); // a quick run ends before the answer is read
    const answer = await server.submit(body);
    showProblems(tab.id, answer.node_errors);
    if (!before) amendDocument(tab.id, (now) => advanced(now, catalogue));
    sent = meaning();
    void refreshQueue();
    return true;
  } catch (error) {
    rememberSent(tab.id, last);
    if (error instanceof Refused) {
      unexpect(prompt_id);
      showRefusal(tab.id, error);
    } else if (error instanceof FormatError) notify("error", "run.refused", error.message, { tab: tab.id });
    else notify("error", "run.unreachable", undefined, { tab: tab.id });
    return false;
  }
}

function showRefusal(tab: string, { node, nodeErrors, message, details }: Refused): void {
  const own = node === undefined ? nodeErrors : { [node]: { errors: [{ type: "refused", message, details: "" }] } };
  showProblems(tab, own);
  const [first] = Object.keys(nodeErrors);
  if (node !== undefined) notify("error", "run.refused", message, { tab, id: node });
  else if (first === undefined) notify("error", "run.refused", `${message} ${details}`.trim(), { tab });
  else notify("error", "run.invalid", undefined, { tab, id: first });
}

const MOST_STEPS = 60;

function stepsOf(prompt: ApiWorkflow): Record<string, number> {
  const counted = Object.entries(prompt).flatMap(([id, node]) => {
    const steps = node.inputs.steps;
    return typeof steps === "number" && steps > 1 ? [[id, Math.min(MOST_STEPS, steps)] as const] : [];
  });
  return Object.fromEntries(counted);
}

// -- automatic runs -----------------------------------------------------------------------------------------------

const CALM = 400;

/** The runnable part of the open workflow when it was last sent. */
let sent = "";
let timer = 0;

function meaning(): string {
  const { catalogue } = useEditor.getState();
  const tab = current();
  try {
    return `${tab.id} ${writeJson(toApi(tab.history.present, catalogue))}`;
  } catch {
    return sent; // it cannot be run at the moment
  }
}

function consider(): void {
  window.clearTimeout(timer);
  const { repeat } = useRepeat.getState();
  if (repeat === "once") return;
  timer = window.setTimeout(async () => {
    const { active, pending, connected } = useRuns.getState();
    if (!connected || active.length + pending.length > 0) return; // requested again when the queue is empty
    if (useRepeat.getState().repeat === "change" && meaning() === sent) return;
    const before = meaning();
    if (!(await submit(current().id, false))) {
      sent = before; // not again until it is fixed
      if (useRepeat.getState().repeat === "always") useRepeat.setState({ repeat: "once" });
    }
  }, CALM);
}

export function setRepeat(repeat: Repeat): void {
  sent = repeat === "change" ? meaning() : "";
  useRepeat.setState({ repeat });
  consider();
}

useEditor.subscribe((state, before) => {
  if (state.tabs === before.tabs) return;
  for (const { id, history } of before.tabs) {
    const now = state.tabs.find((tab) => tab.id === id);
    if (!now) forgetRuns(id);
    else if (now.history.present !== history.present) forgetRefusals(id);
  }
  if (activeTab(state).history.present !== activeTab(before).history.present) consider();
});
useRuns.subscribe((state, before) => {
  if (state.active !== before.active && !state.active.length && !state.pending.length) consider();
  // A run that the user stopped does not start again automatically.
  if (
    useRepeat.getState().repeat === "always" &&
    Object.entries(state.verdicts).some(
      ([tab, verdict]) => (verdict === "stopped" || verdict === "failed") && before.verdicts[tab] === "running",
    )
  ) {
    useRepeat.setState({ repeat: "once" });
  }
});
