/** What a node or a part of it is, for tips and for the help panel. */

import type { GraphNode } from "../document/document";
import { geometry } from "../document/geometry";
import type { InputDef } from "../document/schema";
import { shownInputs } from "../document/widget_values";
import { translated, useWords } from "../i18n";
import { nodeOf } from "./commands";
import { editContext } from "./editor";
import { show } from "./ui";

/** Where on a node: a field by its key, or a slot by its number; neither: the node itself. */
export type Part = { widget: string } | { side: "input" | "output"; slot: number } | Record<string, never>;

export interface About {
  /** The node's class. */
  type: string;
  /** The part's name in files, as the help panel lists it; undefined: the node itself. */
  part?: string;
  title: string;
  /** The socket type; empty for a node. */
  socket: string;
  /** In the chosen language; empty if nothing is known. */
  text: string;
  /** Bounds and default of a number. */
  facts: string;
}

/** null: no such node or part. */
export function about(id: string, part: Part): About | null {
  const node = nodeOf(id);
  return node ? aboutPart(node, part) : null;
}

function aboutPart(node: GraphNode, part: Part): About | null {
  const env = editContext();
  const def = env.catalogue.get(node.type);
  const { help } = useWords.getState();
  const said = (text: string | undefined) => (text ? translated(text, help) : "");
  const { type } = node;
  const place = geometry(node, env);
  if ("widget" in part) {
    const input = place.widgets.find((row) => row.key === part.widget)?.input;
    return input ? aboutInput(type, input, said(input.tooltip)) : null;
  }
  if ("slot" in part) {
    const row = (part.side === "input" ? place.inputs : place.outputs).find(({ index }) => index === part.slot);
    const input =
      def && part.side === "input" ? shownInputs(node, def).find(({ name }) => name === row?.name) : undefined;
    if (input) return aboutInput(type, input, said(input.tooltip));
    const output = part.side === "output" ? def?.outputs[part.slot] : undefined;
    const name = output?.name ?? row?.name;
    if (name === undefined) return null;
    return {
      type,
      part: name,
      title: row?.label || output?.label || name,
      socket: row?.type ?? output?.type ?? "",
      text: said(output?.tooltip),
      facts: "",
    };
  }
  return { type, title: place.title, socket: "", text: said(def?.description), facts: "" };
}

/** About a field of a form. `note`: what the form adds to the node's own text. */
export function aboutField(node: GraphNode, input: InputDef, title: string, note: string): About | null {
  const text = input.tooltip ? translated(input.tooltip, useWords.getState().help) : "";
  const said = [text, note].filter(Boolean).join(" ");
  return said ? { ...aboutInput(node.type, input, said), title, socket: "" } : null;
}

const aboutInput = (type: string, input: InputDef, text: string): About => ({
  type,
  part: input.name,
  title: input.label ?? input.name,
  socket: input.type,
  text,
  facts: factsOf(input),
});

/** Bounds and default, such as `1 … 100 (20)`; empty if the input has none. */
export function factsOf({ min, max, default: initial, type }: InputDef): string {
  const bounds = min === undefined && max === undefined ? "" : `${min ?? ""} … ${max ?? ""}`;
  const plain = typeof initial === "number" || typeof initial === "bigint";
  const given = plain && (type === "INT" || type === "FLOAT") ? `(${initial})` : "";
  return [bounds, given].filter(Boolean).join(" ");
}

/** Open the help panel at a node's class. */
export const openHelp = (type: string, part?: string): void => show({ panel: "help", help: { type, part } });
