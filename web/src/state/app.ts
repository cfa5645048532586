/** The forms of workflows as apps, which the server decides, and the commands of the app view. */

import { create } from "zustand";
import {
  type AppField,
  type AppForm,
  type FieldPlace,
  type PlacedField,
  placed,
  withChosenFields,
  withChosenOutputs,
  withWholeChoice,
} from "../document/app_fields";
import { type Doc, type GraphNode, type Level, subgraphs } from "../document/document";
import { isDynamic } from "../document/dynamic_inputs";
import { changeLevel, mapNode } from "../document/edits";
import type { Catalogue } from "../document/schema";
import { withSeedControl } from "../document/seed_control";
import type { Control } from "../document/widget_values";
import { setWidget } from "../document/widget_views";
import { fileKey, Refused, server, thumbnailUrl } from "../server/client";
import { writeWidget } from "./commands";
import { current, editContext, editDocument, settleStep, useEditor } from "./editor";
import type { Picture } from "./gallery";
import { notify } from "./notices";
import { clearErrors, useRuns } from "./runs";
import { nextValue } from "./seeds";

interface Known {
  doc: Doc;
  form: AppForm;
}

interface Forms {
  /** By tab: the last form, and the document that it describes. */
  forms: Readonly<Record<string, Known>>;
  /** By tab: why the server has no form for it. */
  refused: Readonly<Record<string, string>>;
  /** Whether the fields of the app view are being arranged. */
  arranging: boolean;
}

export const useForms = create<Forms>(() => ({ forms: {}, refused: {}, arranging: false }));

/** Request the form of a tab's workflow, unless the known one still fits. */
export async function refreshForm(tab: string, doc: Doc): Promise<void> {
  const known = useForms.getState().forms[tab];
  if (known && sameShape(known.doc, doc, useEditor.getState().catalogue)) return;
  try {
    showForm(tab, doc, await server.appForm(doc));
  } catch (error) {
    if (!(error instanceof Refused)) return; // unreachable: the connection banner shows it, and the next change asks again
    const reason = `${error.message} ${error.details}`.trim();
    useForms.setState((state) => ({ refused: { ...state.refused, [tab]: reason } }));
  }
}

export function showForm(tab: string, doc: Doc, form: AppForm): void {
  useForms.setState(({ forms, refused: { [tab]: _, ...refused } }) => ({
    forms: { ...forms, [tab]: { doc, form } },
    refused,
  }));
}

/** Whether two documents differ at most in what no form depends on: values, places and sizes. */
export function sameShape(one: Doc, other: Doc, catalogue: Catalogue): boolean {
  if (one === other) return true;
  const same = (first: Level, second: Level) =>
    first.links === second.links &&
    (first.nodes === second.nodes ||
      (first.nodes.length === second.nodes.length &&
        first.nodes.every((node, index) => sameNode(node, second.nodes[index] as GraphNode, catalogue))));
  const [before, after] = [subgraphs(one), subgraphs(other)];
  return (
    same(one, other) &&
    one.extra === other.extra &&
    before.size === after.size &&
    [...before].every(([id, level]) => {
      const now = after.get(id);
      return now !== undefined && (level === now || same(level, now));
    })
  );
}

function sameNode(one: GraphNode, other: GraphNode, catalogue: Catalogue): boolean {
  if (one === other) return true;
  const def = catalogue.get(one.type);
  return (
    one.id === other.id &&
    one.type === other.type &&
    one.mode === other.mode &&
    one.title === other.title &&
    one.inputs === other.inputs &&
    one.outputs === other.outputs &&
    one.properties === other.properties &&
    (!def || !isDynamic(def) || one.widgets_values === other.widgets_values)
  );
}

// -- values -------------------------------------------------------------------------------------------------------

export function writeField(field: AppField, { path, node, key }: FieldPlace, value: unknown): void {
  writeWidget(node, key, value, `widget ${path.join()} ${node} ${key}`, path);
  for (const [target] of field.targets) clearErrors(current().id, target);
}

export const setSeedControl = (found: PlacedField, next: Control): void =>
  editDocument((doc) => withSeedControl(doc, found, editContext(), next));

export function throwDice(field: AppField, { place, view }: PlacedField): void {
  const next = nextValue(view.input, view.value, "randomize");
  if (next !== undefined) writeField(field, place, next);
  settleStep();
}

/** Exchange two fields' values as one undo step. */
export function swapFields(one: PlacedField, other: PlacedField): void {
  const env = editContext();
  const set = (level: Level, { place }: PlacedField, value: unknown) =>
    mapNode(level, place.node, (node) => setWidget(node, place.key, value, env));
  editDocument((doc) => {
    const first = changeLevel(doc, one.place.path, (level) => set(level, one, other.view.value));
    return changeLevel(first, other.place.path, (level) => set(level, other, one.view.value));
  });
}

// -- the author's choice ------------------------------------------------------------------------------------------

/** The form of the open workflow, asked anew if it has changed. */
async function currentForm(): Promise<AppForm | null> {
  const { id, history } = current();
  await refreshForm(id, history.present);
  return useForms.getState().forms[id]?.form ?? null;
}

/** Change which fields are shown at once, and their order. */
export const chooseFields = (form: AppForm, fields: readonly AppField[]): void =>
  editDocument((doc) => withWholeChoice(withChosenFields(doc, form, fields), form));

export const chooseOutputs = (form: AppForm, outputs: readonly string[]): void =>
  editDocument((doc) => withWholeChoice(withChosenOutputs(doc, form, outputs), form));

/** Add a node's field to the fields that the app shows at once, or remove it. `path`: run-time ids of the node. */
export async function showInApp(node: string, key: string, on: boolean): Promise<void> {
  const form = await currentForm().catch(() => null);
  if (!form) return notify("error", "appView.noForm");
  const isIt = (field: AppField) => field.node === node && placed(field, editContext())?.place.key === key;
  const found = form.fields.find(isIt);
  if (!found) return notify("error", "appView.noField");
  const main = form.fields.filter((field) => field.main);
  if (on && found.main && form.chosen) return;
  chooseFields(
    form,
    on ? [...main.filter((field) => field !== found), found] : main.filter((field) => field !== found),
  );
  notify("info", on ? "appView.shown" : "appView.removed");
}

// -- results ------------------------------------------------------------------------------------------------------

/** The pictures that this window's runs of a tab have made, newest first. */
export function sessionPictures(tab: string, pictures: readonly Picture[]): Picture[] {
  const { jobs } = useRuns.getState();
  return pictures.filter(
    ({ promptId, type }) => promptId !== undefined && type !== "temp" && jobs[promptId]?.tab === tab,
  );
}

/** Keep a saved workflow's latest picture for the list of apps. */
export async function keepPicture(file: string | null, picture: Picture | undefined): Promise<void> {
  if (file === null || !picture) return;
  const key = `${file} ${fileKey(picture)}`;
  if (lastKept === key) return;
  lastKept = key;
  try {
    const answer = await fetch(thumbnailUrl(picture));
    if (answer.ok) await server.keepAppPicture(file.replace(/(\.app)?\.json$/i, ""), await answer.blob());
  } catch {
    // The list shows an earlier picture, or none.
  }
}

let lastKept = "";
