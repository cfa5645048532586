/** The fields of a workflow as an app: where the document holds their values, and the author's choice of fields. */

import { type Doc, type GraphNode, type Id, nodesById, subgraphs } from "./document";
import { levelAt } from "./edits";
import { isLifted, lift, OWN } from "./lifting";
import { type EditContext, type WidgetView, widgetViews } from "./widget_views";

/** A field as the server describes it (`POST /apps/fields`). */
export interface AppField {
  /** The ids that lead to the node with the widget, joined by colons. */
  node: string;
  input: string;
  /** The node inside, if a subgraph's node promotes its field. */
  inner?: string;
  kind: FieldKind;
  label: string;
  title: string;
  main: boolean;
  targets: [node: string, input: string][];
  mask?: boolean;
  /** The height of a text, in pixels. */
  height?: number;
  /** Its index in the author's list. */
  entry?: number;
}

export const FIELD_KINDS = [
  "prompt",
  "negative",
  "picture",
  "size",
  "model",
  "lora",
  "strength",
  "steps",
  "guidance",
  "sampler",
  "scheduler",
  "denoise",
  "seed",
  "count",
  "text",
  "other",
] as const;
export type FieldKind = (typeof FIELD_KINDS)[number];

export interface AppOutput {
  node: string;
  title: string;
  saves: boolean;
  main: boolean;
}

export interface AppForm {
  fields: AppField[];
  outputs: AppOutput[];
  /** Whether the author chose the main fields. */
  chosen: boolean;
  opens_as_app: boolean | null;
}

/** A widget of a document: the definitions that lead to its level, the node, and the widget's key there. */
export interface FieldPlace {
  path: readonly string[];
  node: string;
  key: string;
}

export interface PlacedField {
  place: FieldPlace;
  node: GraphNode;
  view: WidgetView;
}

/** The node that ids lead to, and the definitions on the way; null if it is gone. */
function follow(doc: Doc, ids: readonly string[]): { path: string[]; node: GraphNode } | null {
  const path: string[] = [];
  for (const holder of ids.slice(0, -1)) {
    const type = nodesById(levelAt(doc, path)).get(holder)?.type;
    if (type === undefined || !subgraphs(doc).has(type)) return null;
    path.push(type);
  }
  const node = nodesById(levelAt(doc, path)).get(ids.at(-1) ?? "");
  return node ? { path, node } : null;
}

/** Find a field's widget in the document; null if it is gone or linked. */
export function placed(field: AppField, env: EditContext): PlacedField | null {
  const found = follow(env.doc, field.node.split(":"));
  if (!found) return null;
  const { path, node } = found;
  const key = field.inner === undefined ? null : `${field.inner}/${field.input}`;
  const view = widgetViews(node, env).find((each) =>
    key === null
      ? each.key === field.input || each.key === `${OWN}/${field.input}` || each.input.name === field.input
      : each.key === key,
  );
  return view && !view.linked ? { place: { path, node: String(node.id), key: view.key }, node, view } : null;
}

// -- the author's choice ------------------------------------------------------------------------------------------

type Entry = unknown;

interface LinearData {
  inputs?: Entry[];
  outputs?: Entry[];
  [key: string]: unknown;
}

const linearData = (doc: Doc): LinearData => {
  const data = doc.extra?.linearData;
  return typeof data === "object" && data !== null ? (data as LinearData) : {};
};

const listed = (value: unknown): Entry[] => (Array.isArray(value) ? value : []);

const withData = (doc: Doc, change: LinearData): Doc => ({
  ...doc,
  extra: { ...doc.extra, linearData: { inputs: [], outputs: [], ...linearData(doc), ...change } },
});

/** The document with what the form shows now as the author's choice: ComfyUI shows no app without fields or outputs. */
export function withWholeChoice(doc: Doc, form: AppForm): Doc {
  const { inputs, outputs } = linearData(doc);
  const main = <T extends { main: boolean }>(entries: readonly T[]) => entries.filter((entry) => entry.main);
  const filled = listed(inputs).length ? doc : withChosenFields(doc, form, main(form.fields));
  if (listed(outputs).length) return filled;
  return withChosenOutputs(
    filled,
    form,
    main(form.outputs).map(({ node }) => node),
  );
}

/**
 * The document with these fields as the author's choice, in this order. Entries that the file has already are kept as
 * they are written, and so are entries that name no field. A field inside a subgraph is shown on the subgraph's node
 * first, since ComfyUI finds fields only at the top level.
 */
export function withChosenFields(doc: Doc, form: AppForm, fields: readonly AppField[]): Doc {
  const before = listed(linearData(doc).inputs);
  const known = new Set(form.fields.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
  const strange = before.filter((_, index) => !known.has(index) && !isRepeated(before, index, known));
  let after = doc;
  const entries = fields.map((field): Entry => {
    if (field.entry !== undefined) return before[field.entry];
    after = shownAtTop(after, field);
    const ids = field.node.split(":");
    return [ownId(after, ids[0] ?? ""), field.input];
  });
  return withData(after, { inputs: [...entries, ...strange] });
}

/** Whether an entry names the same field as an earlier one that is known. */
const isRepeated = (entries: Entry[], index: number, known: ReadonlySet<number>): boolean =>
  entries.some((entry, at) => at < index && known.has(at) && JSON.stringify(entry) === JSON.stringify(entries[index]));

/** The document in which every subgraph's node on the way to a field shows it. */
function shownAtTop(doc: Doc, field: AppField): Doc {
  const ids = field.node.split(":");
  let after = doc;
  for (let depth = ids.length - 1; depth > 0; depth -= 1) {
    const holder = follow(after, ids.slice(0, depth))?.node;
    const inner = ids[depth] ?? "";
    if (holder && !isLifted(holder, inner, field.input)) after = lift(after, holder.type, inner, field.input, true);
  }
  return after;
}

const ownId = (doc: Doc, id: string): Id => nodesById(doc).get(id)?.id ?? id;

/** The document with these output nodes as the author's choice. Entries that name no output are kept. */
export function withChosenOutputs(doc: Doc, form: AppForm, outputs: readonly string[]): Doc {
  const before = listed(linearData(doc).outputs);
  const top = (node: string) => node.split(":")[0] ?? node;
  const known = new Set(form.outputs.flatMap(({ node }) => [node, top(node)]));
  const strange = before.filter((entry) => !known.has(String(entry)));
  const chosen = [...new Set(outputs.map(top))].map(
    (node) => before.find((entry) => String(entry) === node) ?? ownId(doc, node),
  );
  return withData(doc, { outputs: [...chosen, ...strange] });
}

/** Without the author's choice, the form has the fields that every workflow has. */
export function withoutChoice(doc: Doc): Doc {
  const { inputs: _, outputs: __, ...rest } = linearData(doc);
  const { linearData: ___, ...extra } = doc.extra ?? {};
  return { ...doc, extra: Object.keys(rest).length ? { ...extra, linearData: rest } : extra };
}

export const opensAsApp = (doc: Doc): boolean => doc.extra?.linearMode === true;

export const withOpensAsApp = (doc: Doc, on: boolean): Doc => ({ ...doc, extra: { ...doc.extra, linearMode: on } });

/** Whether the author's list names a field of a node at the top level. */
export function isChosen(doc: Doc, node: string, name: string): boolean {
  return listed(linearData(doc).inputs).some((entry) => {
    if (!Array.isArray(entry)) return false;
    const [id, given] = [String(entry[0]), String(entry[1])];
    const parts = id.split(":");
    return (
      (id === node && given === name) ||
      (parts.length === 3 && decoded(parts[1]) === node && decoded(parts[2]) === name)
    );
  });
}

function decoded(part = ""): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
