/** Undo and redo. A state shares all unchanged objects with the one before, so a step costs only what it changed. */

export interface History<T> {
  past: readonly T[];
  present: T;
  future: readonly T[];
  /** Consecutive edits of one kind, such as the letters of a word, form one step. */
  lastKind: string | null;
}

export const MAX_STEPS = 500;

export const begin = <T>(present: T): History<T> => ({ past: [], present, future: [], lastKind: null });

/** `kind`: null for a separate step; otherwise the edit joins the last step if that has the same kind. */
export function step<T>(history: History<T>, next: T, kind: string | null = null): History<T> {
  if (next === history.present) return history;
  if (kind !== null && kind === history.lastKind) return { ...history, present: next, future: [] };
  const past = [...history.past, history.present].slice(-MAX_STEPS);
  return { past, present: next, future: [], lastKind: kind };
}

/** A change without an undo step: what a run does to its seeds. */
export const amend = <T>(history: History<T>, next: T): History<T> => ({ ...history, present: next });

/** Make the next edit start a new step, whatever its kind. */
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

/** Undo or redo up to a state: 0 is the oldest one, and the future's states follow the present one. */
export function goTo<T>(history: History<T>, index: number): History<T> {
  const { past, present, future } = history;
  const states = [...past, present, ...future];
  const wanted = states[index];
  if (wanted === undefined || index === past.length) return history;
  return { past: states.slice(0, index), present: wanted, future: states.slice(index + 1), lastKind: null };
}
