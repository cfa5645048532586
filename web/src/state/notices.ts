/** Short messages that come and go. */

import { create } from "zustand";
import type { Key } from "../i18n";

export interface Notice {
  id: number;
  kind: "info" | "error";
  text: Key;
  details?: string;
}

export const useNotices = create<{ notices: Notice[] }>(() => ({ notices: [] }));

let last = 0;

export function notify(kind: Notice["kind"], text: Key, details?: string): void {
  const id = ++last;
  useNotices.setState(({ notices }) => ({ notices: [...notices.slice(-3), { id, kind, text, details }] }));
  setTimeout(() => dismiss(id), kind === "error" ? 9000 : 3500);
}

export const dismiss = (id: number): void =>
  useNotices.setState(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
