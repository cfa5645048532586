/** Sweeps: several values for up to three fields, all combinations in one run. The server reads the values. */

import { FormatError } from "../format/api";
import { withChosenPrompts } from "../format/dynamic_prompts";
import { toNamedApi } from "../format/file_names";
import { type Place, placeOfField, type SweepField, sweepFields } from "../format/sweep_fields";
import { Refused, type SweepPlan, server } from "../server/client";
import { current, definitionPath, flatId, useEditor } from "./editor";
import { useRuns } from "./runs";

export const MOST_AXES = 3;

export interface Axis extends Place {
  /** As typed: `3,5,7`, `1..10`, `all`, `red|blue`. */
  values: string;
}

/** The fields of the open workflow that can be swept. */
export const fieldsHere = (): SweepField[] => sweepFields(current().history.present, useEditor.getState().catalogue);

/** The input of the run that a field of the open level sets; null: none, or several. */
export function placeOf(id: string, key: string): Place | null {
  const tab = current();
  const field = { path: definitionPath(tab), id, flat: flatId(tab, id), key };
  return placeOfField(tab.history.present, useEditor.getState().catalogue, field);
}

/** Ask the server what a sweep would do. Throws Refused with the reason if it would refuse it. */
export async function planned(axes: readonly Axis[]): Promise<SweepPlan> {
  const { catalogue } = useEditor.getState();
  try {
    const prompt = toNamedApi(withChosenPrompts(current().history.present, catalogue), catalogue);
    return await server.planSweep({ prompt, extra_data: { sweep: axes } });
  } catch (error) {
    if (error instanceof FormatError) throw new Refused(400, error.message);
    throw error;
  }
}

/** The seconds that the planned runs will take, from the seconds of the tab's last run. null: none are known. */
export function estimated({ runs }: SweepPlan): number | null {
  const nodes = useRuns.getState().nodes[current().id] ?? {};
  let seconds = 0;
  let known = false;
  for (const [id, count] of Object.entries(runs)) {
    const took = nodes[id]?.seconds;
    if (took === undefined) continue;
    seconds += took * count;
    known ||= count > 1;
  }
  return known ? seconds : null;
}
