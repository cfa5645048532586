/** Nodes under their names in the chosen language. Files, searches and the server keep the names they have. */

import type { Catalogue, NodeDef } from "../document/schema";

export interface NodeNames {
  titles: Readonly<Record<string, string>>;
  names: Readonly<Record<string, string>>;
  categories: Readonly<Record<string, string>>;
}

/** The same nodes with the labels that `words` has for them; without it, with none. */
export function labelled(catalogue: Catalogue, words: NodeNames | null): Catalogue {
  return new Map([...catalogue].map(([name, def]) => [name, labelledNode(def, words)]));
}

function labelledNode(def: NodeDef, words: NodeNames | null): NodeDef {
  const label = words?.titles[def.name];
  const within = <T extends { name: string }>(entry: T) => ({ ...entry, label: label && words?.names[entry.name] });
  const path = def.category.split("/").map((part) => words?.categories[part] ?? part);
  return {
    ...def,
    label,
    categoryLabel: words ? path.join("/") : undefined,
    inputs: def.inputs.map(within),
    outputs: def.outputs.map(within),
  };
}
