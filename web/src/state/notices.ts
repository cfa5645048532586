/** Short messages. What went well goes by itself; an error stays until it is closed, or another try is made. */

import { create } from "zustand";
import type { Key } from "../i18n";

export interface Notice {
  id: number;
  kind: "info" | "error";
  text: Key;
  details?: string;
  /** The node it is about, by the id it has when it runs. */
  place?: { tab: string; id: string };
}

export const useNotices = create<{ notices: Notice[] }>(() => ({ notices: [] }));

const INFO_SECONDS = 3.5;

let last = 0;

export function notify(kind: Notice["kind"], text: Key, details?: string, place?: Notice["place"]): void {
  const id = ++last;
  useNotices.setState(({ notices }) => {
    const others = notices.filter((notice) => notice.text !== text || notice.details !== details);
    return { notices: [...others.slice(-2), { id, kind, text, details, place }] };
  });
  if (kind === "info") setTimeout(() => dismiss(id), 1000 * INFO_SECONDS);
}

export const dismiss = (id: number): void =>
  useNotices.setState(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));

/** A tab's workflow is run again: what was said of runs before, and of its nodes, is over. */
export const forgetRuns = (tab: string): void =>
  useNotices.setState(({ notices }) => ({
    notices: notices.filter(({ text, place }) => (place ? place.tab !== tab : !text.startsWith("run."))),
  }));
