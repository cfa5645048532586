/** Handles the keys that change the weight of a part of a prompt: Ctrl+Up and Ctrl+Down. */

import { weighted } from "../document/prompt_weights";

const STEP = 0.05;

export function changeWeight(event: React.KeyboardEvent<HTMLTextAreaElement>): void {
  const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!way || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  event.preventDefault();
  const field = event.currentTarget;
  const { value, selectionStart, selectionEnd } = field;
  const after = weighted({ text: value, start: selectionStart, end: selectionEnd }, way * STEP);
  if (!after) return;
  // Replace only what differs, as typing does: the browser's own undo of the field keeps working.
  let from = 0;
  while (from < value.length && value[from] === after.text[from]) from += 1;
  let same = 0;
  while (same < Math.min(value.length, after.text.length) - from && value.at(-1 - same) === after.text.at(-1 - same))
    same += 1;
  field.setSelectionRange(from, value.length - same);
  const put = after.text.slice(from, after.text.length - same);
  if (!document.execCommand(put ? "insertText" : "delete", false, put)) {
    field.setRangeText(put);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  field.setSelectionRange(after.start, after.end);
}
