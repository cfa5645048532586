/**
 * `{red|green|blue}` in a field that takes dynamic prompts: one option is chosen at random for each run. Options may be
 * nested; `\{`, `\|` and `\}` stand for the plain characters; comments in the form of C are removed.
 */

import type { Doc } from "../document/document";
import { mapEveryNode } from "../document/edits";
import type { Catalogue, InputDef } from "../document/schema";
import { widgetInputs, widgetValues, withWidget } from "../document/widget_values";

/** The document with an option chosen in every dynamic prompt. Pictures store it, so that they can be made again. */
export function withChosenPrompts(doc: Doc, catalogue: Catalogue, random: () => number = Math.random): Doc {
  return withTexts(
    doc,
    catalogue,
    (input) => input.dynamicPrompts === true,
    (text) => chosenPrompt(text, random),
  );
}

function withTexts(
  doc: Doc,
  catalogue: Catalogue,
  applies: (input: InputDef) => boolean,
  change: (text: string) => string,
): Doc {
  return mapEveryNode(doc, (node) => {
    const def = catalogue.get(node.type);
    const fields = def ? widgetInputs(node, def).filter(applies) : [];
    if (!def || !fields.length) return node;
    let after = node;
    const values = widgetValues(node, def);
    for (const input of fields) {
      const text = values[input.name];
      const settled = typeof text === "string" ? change(text) : text;
      if (settled !== text) after = withWidget(after, def, input.name, settled);
    }
    return after;
  });
}

/** Choose one text of a dynamic prompt. An opening brace without a closing one is a plain brace. */
export function chosenPrompt(text: string, random: () => number = Math.random): string {
  const signs = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").match(/\\[{|}]|[\s\S]/gu) ?? [];
  let at = 0;

  /** Reads to the end of an option, or to the end of the text. */
  const sequence = (inside: boolean): string => {
    let read = "";
    while (at < signs.length) {
      const sign = signs[at]!;
      if (inside && (sign === "|" || sign === "}")) break;
      at += 1;
      if (sign === "{") read += choice();
      else read += sign.length > 1 && sign.startsWith("\\") ? sign[1] : sign;
    }
    return read;
  };

  const choice = (): string => {
    const options = [sequence(true)];
    while (signs[at] === "|") {
      at += 1;
      options.push(sequence(true));
    }
    if (at >= signs.length) return `{${options.join("|")}`;
    at += 1;
    return options[Math.floor(random() * options.length)]!;
  };

  return sequence(false);
}
