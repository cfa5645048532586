/** The fields of a form that the open document has, with their names in the chosen language. */

import { type AppField, type AppForm, type PlacedField, placed } from "../document/app_fields";
import { isCustomCombo } from "../document/custom_combo";
import { shortName } from "../document/dynamic_inputs";
import type { InputDef } from "../document/schema";
import { defOf, type EditContext } from "../document/widget_views";
import type { Place } from "../format/sweep_fields";
import type { Key, useT } from "../i18n";

/** A field with its widget in the open document, and the names to show. */
export interface ShownField {
  field: AppField;
  found: PlacedField;
  /** What the value is, in the chosen language. */
  name: string;
  /** The node's title. */
  title: string;
}

const NAMED_BY_KIND: ReadonlySet<AppField["kind"]> = new Set([
  "prompt",
  "negative",
  "picture",
  "model",
  "lora",
  "steps",
  "guidance",
  "sampler",
  "scheduler",
  "denoise",
  "seed",
  "count",
]);

type Translate = ReturnType<typeof useT>;

const spaced = (name: string): string => {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

function shownField(field: AppField, env: EditContext, t: Translate): ShownField | null {
  const found = placed(field, env);
  if (!found) return null;
  const { node, view } = found;
  const def = defOf(node, env);
  const title = node.title || def?.label || def?.title || field.title;
  const own = isCustomCombo(def) && view.input.name === "choice" ? title : ownName(view.input, title);
  return { field, found, title, name: NAMED_BY_KIND.has(field.kind) ? t(`kind.${field.kind}` as Key) : own };
}

/** A name in the chosen language, or the name in the file as words. */
function ownName({ name, label }: InputDef, title: string): string {
  if (label !== undefined && label !== shortName(name)) return label;
  return spaced(name === "value" ? title : shortName(name));
}

/** The fields of a form that the document has, with their names. */
export const shownFields = (form: AppForm, env: EditContext, t: Translate): ShownField[] =>
  form.fields.flatMap((field) => shownField(field, env, t) ?? []);

/** The name of each main field; the node's title follows where two names would be the same, and then its id. */
export function distinctNames(shown: readonly ShownField[]): Map<ShownField, string> {
  const count = (names: Iterable<string>) => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  };
  const names = count(shown.map(({ name }) => name));
  const titled = ({ name, title }: ShownField) => (names.get(name) === 1 ? name : `${name} · ${title}`);
  const twins = count(shown.map(titled));
  return new Map(
    shown.map((each) => [each, twins.get(titled(each)) === 1 ? titled(each) : `${titled(each)} ${each.field.node}`]),
  );
}

/** The input of the run that a field sets; null: it sets several. */
export function placeInRun({ targets }: AppField): Place | null {
  const [target, ...others] = targets;
  return target && !others.length ? { node: target[0], input: target[1] } : null;
}

export const keyOf = ({ field, found }: ShownField): string => `${field.node}/${found.place.key}`;
