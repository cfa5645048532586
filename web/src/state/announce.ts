/** Texts for screen readers when the canvas changes without moving the focus. */

import { create } from "zustand";
import { type Key, t } from "../i18n";

export const useAnnounced = create<{ text: string; turn: number }>(() => ({ text: "", turn: 0 }));

export const announce = (key: Key, values?: Record<string, string | number>): void =>
  useAnnounced.setState(({ turn }) => ({ text: t(key, values), turn: turn + 1 }));
