/** Short messages that come and go. */

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

const SECONDS = { info: 3.5, error: 9 };

let last = 0;

export function notify(kind: Notice["kind"], text: Key, details?: string, place?: Notice["place"]): void {
  const id = ++last;
  useNotices.setState(({ notices }) => {
    const others = notices.filter((notice) => notice.text !== text || notice.details !== details);
    return { notices: [...others.slice(-2), { id, kind, text, details, place }] };
  });
  setTimeout(() => dismiss(id), 1000 * SECONDS[kind]);
}

export const dismiss = (id: number): void =>
  useNotices.setState(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
