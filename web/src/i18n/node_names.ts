/** Names nodes in the chosen language. Files, searches and the server keep the original names. */

import type { Catalogue, InputDef, NodeDef } from "../document/schema";

export interface NodeNames {
  titles: Readonly<Record<string, string>>;
  names: Readonly<Record<string, string>>;
  categories: Readonly<Record<string, string>>;
}

/** The same nodes with labels from `words`; without it, with no labels. */
export function labelled(catalogue: Catalogue, words: NodeNames | null): Catalogue {
  return new Map([...catalogue].map(([name, def]) => [name, labelledNode(def, words)]));
}

function labelledNode(def: NodeDef, words: NodeNames | null): NodeDef {
  const label = words?.titles[def.name];
  const within = <T extends { name: string }>(entry: T) => ({ ...entry, label: label && nameOf(entry.name, words) });
  const input = (entry: InputDef): InputDef => ({
    ...within(entry),
    ...(entry.options && { options: entry.options.map((option) => ({ ...option, inputs: option.inputs.map(input) })) }),
    ...(entry.grows && { grows: { ...entry.grows, member: input(entry.grows.member) } }),
  });
  const path = def.category.split("/").map((part) => words?.categories[part] ?? part);
  return {
    ...def,
    label,
    categoryLabel: words ? path.join("/") : undefined,
    inputs: def.inputs.map(input),
    outputs: def.outputs.map(within),
  };
}

/** A name's label; a field of a group, `group.field`, has the label of the field. */
function nameOf(name: string, words: NodeNames | null): string | undefined {
  return words?.names[name] ?? words?.names[name.slice(name.lastIndexOf(".") + 1)];
}
