/** Workflows to the server: once, so many times, whenever something changes, or again and again. */

import { create } from "zustand";
import { newId } from "../document/ids";
import { writeJson } from "../document/json";
import { type ApiWorkflow, FormatError, toApi } from "../format/api";
import { withChosenPrompts, withFilledNames } from "../format/substitutions";
import { Refused, server } from "../server/client";
import { activeTab, amendDocument, current, useEditor } from "./editor";
import { forgetRefusals, forgetRuns, notify } from "./notices";
import { clientId, expect, refreshQueue, showProblems, unexpect, useRuns } from "./runs";
import { advanced } from "./seeds";

export const REPEATS = ["once", "change", "always"] as const;
export type Repeat = (typeof REPEATS)[number];

export const useRepeat = create<{ repeat: Repeat }>(() => ({ repeat: "once" }));

/** Queue the open workflow, as many times as the batch count says, whatever is looked at meanwhile. */
export async function run(front = false): Promise<void> {
  const { batch } = useRuns.getState();
  const { id } = current();
  forgetRuns(id);
  for (let turn = 0; turn < batch; turn += 1) if (!(await submit(id, front))) return;
}

/** False: it was refused, or its tab is closed. */
async function submit(id: string, front: boolean): Promise<boolean> {
  const { catalogue, tabs } = useEditor.getState();
  const tab = tabs.find((entry) => entry.id === id);
  if (!tab) return false;
  const workflow = withChosenPrompts(tab.history.present, catalogue);
  const prompt_id = newId();
  try {
    const prompt = toApi(withFilledNames(workflow, catalogue), catalogue);
    expect(prompt_id, { tab: tab.id, nodes: Object.keys(prompt).length, steps: stepsOf(prompt) });
    const body = { prompt, prompt_id, client_id: clientId, front, extra_data: { extra_pnginfo: { workflow } } };
    const answer = await server.submit(body);
    showProblems(tab.id, answer.node_errors);
    amendDocument(tab.id, (doc) => advanced(doc, catalogue));
    sent = meaning();
    void refreshQueue();
    return true;
  } catch (error) {
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

// -- by itself ----------------------------------------------------------------------------------------------------

const CALM = 400;

/** What of the open workflow the server would run, when it was last sent. */
let sent = "";
let timer = 0;

function meaning(): string {
  const { catalogue } = useEditor.getState();
  const tab = current();
  try {
    return `${tab.id} ${writeJson(toApi(tab.history.present, catalogue))}`;
  } catch {
    return sent; // it cannot be run as it stands
  }
}

function consider(): void {
  window.clearTimeout(timer);
  const { repeat } = useRepeat.getState();
  if (repeat === "once") return;
  timer = window.setTimeout(async () => {
    const { active, pending, connected } = useRuns.getState();
    if (!connected || active.length + pending.length > 0) return; // asked again when the queue is empty
    if (useRepeat.getState().repeat === "change" && meaning() === sent) return;
    const before = meaning();
    if (!(await submit(current().id, false))) {
      sent = before; // not again until it is mended
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
  // What is stopped by hand is not begun again by itself.
  if (
    useRepeat.getState().repeat === "always" &&
    Object.entries(state.verdicts).some(
      ([tab, verdict]) => (verdict === "stopped" || verdict === "failed") && before.verdicts[tab] === "running",
    )
  ) {
    useRepeat.setState({ repeat: "once" });
  }
});
