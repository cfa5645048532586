/** Changes the weight of a part of a prompt: `(word:1.05)`. */

export interface Marked {
  text: string;
  /** The selected part. */
  start: number;
  end: number;
}

/** The weight of brackets without a number. */
const BRACKETS = 1.1;
const DELIMITERS = " .,\\/!?%^*;:{}=`~()\r\n\t";

/**
 * The prompt with the weight of the selected part changed by `by`, and that part selected. Without a selection, the part
 * is the content of the innermost brackets around the cursor, or the word there. Brackets with a weight of 1 are removed.
 * null: there is nothing to weight.
 */
export function weighted(before: Marked, by: number): Marked | null {
  const part = trimmed(before.text, before.start === before.end ? partAt(before.text, before.start) : before);
  if (part.start >= part.end) return null;
  const { text } = before;
  const { start, end } = unwrapped(text, part);
  const inner = text.slice(start, end);
  const tail = TAIL.exec(text.slice(end));
  const isWrapped = isOpen(text, start - 1) && tail !== null;
  const weight = isWrapped ? (tail[1] === undefined ? BRACKETS : Number(tail[1])) : 1;
  const next = Math.round((weight + by) * 100) / 100;
  const [from, to] = isWrapped ? [start - 1, end + tail[0].length] : [start, end];
  const put = next === 1 ? inner : `(${inner}:${next})`;
  const first = from + (next === 1 ? 0 : 1);
  return { text: text.slice(0, from) + put + text.slice(to), start: first, end: first + inner.length };
}

/** What follows the content of brackets: a weight, if any, and the bracket. */
const TAIL = /^(?::\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*)?\)/;

const isEscaped = (text: string, at: number): boolean => /(?:^|[^\\])(?:\\\\)*\\$/.test(text.slice(0, at));
const isOpen = (text: string, at: number): boolean => text[at] === "(" && !isEscaped(text, at);
const isClose = (text: string, at: number): boolean => text[at] === ")" && !isEscaped(text, at);

type Part = Pick<Marked, "start" | "end">;

function trimmed(text: string, { start, end }: Part): Part {
  let [from, to] = [start, end];
  while (from < to && /\s/.test(text[from] as string)) from += 1;
  while (to > from && /\s/.test(text[to - 1] as string)) to -= 1;
  return { start: from, end: to };
}

const partAt = (text: string, at: number): Part => bracketsAround(text, at) ?? wordAt(text, at);

/** The content of the innermost brackets around a place, without their weight. */
function bracketsAround(text: string, at: number): Part | null {
  let depth = 0;
  let open = at - 1;
  for (; open >= 0; open -= 1) {
    if (isClose(text, open)) depth += 1;
    else if (isOpen(text, open) && depth-- === 0) break;
  }
  if (open < 0) return null;
  const close = closeOf(text, open);
  if (close === null || close < at) return null;
  const [, weight = ""] = /(:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*)$/.exec(text.slice(open + 1, close)) ?? [];
  return { start: open + 1, end: close - weight.length };
}

/** The bracket that closes the one at `open`. */
function closeOf(text: string, open: number): number | null {
  let depth = 0;
  for (let at = open + 1; at < text.length; at += 1) {
    if (isOpen(text, at)) depth += 1;
    else if (isClose(text, at) && depth-- === 0) return at;
  }
  return null;
}

function wordAt(text: string, at: number): Part {
  const inWord = (index: number) => index >= 0 && index < text.length && !DELIMITERS.includes(text[index] as string);
  let [start, end] = [at, at];
  while (inWord(start - 1)) start -= 1;
  while (inWord(end)) end += 1;
  return { start, end };
}

/** A selection that includes its brackets means their content. */
function unwrapped(text: string, { start, end }: Part): Part {
  if (!isOpen(text, start) || closeOf(text, start) !== end - 1) return { start, end };
  return bracketsAround(text, start + 1) ?? { start, end };
}
