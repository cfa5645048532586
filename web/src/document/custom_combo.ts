/**
 * Custom Combo, a choice among texts that the node lists itself. The server declares only `choice`; editors add a field
 * for each text, `option1`, `option2` …, and one more that is empty. The file has `[choice, index, option1, …]`.
 */

import type { GraphNode } from "./document";
import type { InputDef, NodeDef } from "./schema";

const CUSTOM_COMBO = "CustomCombo";
const CHOICE = "choice";
/** The position of the choice among the texts. The node computes it; nobody sets it. */
const INDEX = "index";
const BEFORE_TEXTS = 2;

export const isCustomCombo = (def: NodeDef | undefined): boolean => def?.name === CUSTOM_COMBO;

/** Whether a field is kept in the file without being shown. */
export const isUnseen = (def: NodeDef | undefined, name: string): boolean => isCustomCombo(def) && name === INDEX;

/** The texts as the file has them, up to the last one that is not empty. */
function textsOf(node: GraphNode): string[] {
  const values = node.widgets_values ?? [];
  const texts: string[] = [];
  if (Array.isArray(values)) texts.push(...values.slice(BEFORE_TEXTS).map(written));
  else for (let at = 1; `option${at}` in values; at += 1) texts.push(written(values[`option${at}`]));
  return texts.slice(0, texts.findLastIndex((text) => text !== "") + 1);
}

const written = (value: unknown): string => (typeof value === "string" ? value : "");

/** The node's fields: the choice with the texts to choose from, the index, and the texts. */
export function customInputs(node: GraphNode, def: NodeDef): InputDef[] {
  const texts = textsOf(node);
  const offered = [...new Set(texts)].filter((text) => text !== "");
  const field = { required: false, controlled: false, folder: "input" } as const;
  return [
    ...def.inputs.map((input) => (input.name === CHOICE ? { ...input, choices: offered } : input)),
    { ...field, name: INDEX, type: "INT", widget: "int", default: 0 },
    ...[...texts, ""].map(
      (_, at): InputDef => ({ ...field, name: `option${at + 1}`, type: "STRING", widget: "text", default: "" }),
    ),
  ];
}

/** The position of the choice: files have a stale one, usually -1. */
export const customIndex = (node: GraphNode, choice: unknown): number =>
  textsOf(node).indexOf(typeof choice === "string" && choice !== "" ? choice : "\0");

/** The list of values with one of them changed. The choice follows the text that it was, and the index the choice. */
export function withCustomValue(node: GraphNode, name: string, value: unknown): GraphNode {
  const given = node.widgets_values;
  const was = Array.isArray(given) ? given[0] : given?.[CHOICE];
  const before = textsOf(node);
  const texts = [...before];
  let choice = name === CHOICE ? value : was;
  if (name.startsWith("option")) {
    const at = Number(name.slice("option".length)) - 1;
    while (texts.length < at) texts.push("");
    texts[at] = written(value);
    const rest = texts.filter((text) => text !== "");
    if (!rest.includes(written(choice))) choice = choice === before[at] && texts[at] ? texts[at] : (rest[0] ?? "");
  }
  const index = texts.indexOf(written(choice));
  const ended = texts.at(-1) === "" ? texts : [...texts, ""];
  if (!given || Array.isArray(given)) return { ...node, widgets_values: [choice ?? "", index, ...ended] };
  const named = Object.fromEntries(ended.map((text, at) => [`option${at + 1}`, text]));
  return { ...node, widgets_values: { ...given, [CHOICE]: choice, [INDEX]: index, ...named } };
}
