/** What is usually linked to what, and which examples use a node: `make docs` makes the table from workflows/. */

import table from "./wired.json";

type Lists = Readonly<Record<string, readonly string[]>>;
const { after, before, examples } = table as { after: Lists; before: Lists; examples: Lists };

/** One end of a link to be: a socket of a node's class. `slot`: an output's number or an input's name. */
export interface OpenEnd {
  class: string;
  side: "input" | "output";
  slot: number | string;
  type: string;
}

/** The classes that usually continue from here, most usual first: those of this socket, then those of its type. */
export function usualNext({ class: name, side, slot, type }: OpenEnd): string[] {
  const lists = side === "output" ? after : before;
  const types = type.split(",").flatMap((kind) => lists[kind] ?? []);
  return [...new Set([...(lists[`${name}/${slot}`] ?? []), ...types])];
}

/** The names of the examples with a node of this class. */
export const examplesOf = (name: string): readonly string[] => examples[name] ?? [];
