/** Undo and redo. A state shares all that did not change with the one before, so a step costs what it changed. */

export interface History<T> {
  past: readonly T[];
  present: T;
  future: readonly T[];
  /** Edits of one kind in a row, such as the letters of a word, are one step. */
  lastKind: string | null;
}

export const MAX_STEPS = 500;

export const begin = <T>(present: T): History<T> => ({ past: [], present, future: [], lastKind: null });

/** `kind`: null for a step of its own; otherwise it joins the last step if that had the same kind. */
export function step<T>(history: History<T>, next: T, kind: string | null = null): History<T> {
  if (next === history.present) return history;
  if (kind !== null && kind === history.lastKind) return { ...history, present: next, future: [] };
  const past = [...history.past, history.present].slice(-MAX_STEPS);
  return { past, present: next, future: [], lastKind: kind };
}

/** A change that is no step: what a run does to its seeds. */
export const amend = <T>(history: History<T>, next: T): History<T> => ({ ...history, present: next });

/** The next edit begins a step, whatever its kind. */
export const settle = <T>(history: History<T>): History<T> =>
  history.lastKind === null ? history : { ...history, lastKind: null };

export function undo<T>(history: History<T>): History<T> {
  const previous = history.past.at(-1);
  if (previous === undefined) return history;
  return {
    past: history.past.slice(0, -1),
    present: previous,
    future: [history.present, ...history.future],
    lastKind: null,
  };
}

export function redo<T>(history: History<T>): History<T> {
  const [next, ...future] = history.future;
  if (next === undefined) return history;
  return { past: [...history.past, history.present], present: next, future, lastKind: null };
}
