/**
 * Short messages. What went well goes by itself. An error stays until it is closed or out of date: one about a run goes
 * with the next run of its workflow, a refusal also when the workflow is changed.
 */

import { create } from "zustand";
import type { Key } from "../i18n";

export interface Notice {
  id: number;
  kind: "info" | "error";
  text: Key;
  details?: string;
  about?: About;
}

/** The tab in which a message is shown, and of its nodes the one to go to, by the id it has when it runs. */
export interface About {
  tab: string;
  id?: string;
}

export const useNotices = create<{ notices: Notice[] }>(() => ({ notices: [] }));

const INFO_SECONDS = 3.5;
const MOST = 3;

const REFUSALS: ReadonlySet<Key> = new Set<Key>(["run.invalid", "run.refused", "run.unreachable"]);

let last = 0;

export function notify(kind: Notice["kind"], text: Key, details?: string, about?: About): void {
  const id = ++last;
  const isSame = (notice: Notice) =>
    about && text.startsWith("run.")
      ? notice.about?.tab === about.tab && notice.text.startsWith("run.")
      : notice.text === text && notice.details === details;
  keepOnly((notice) => !isSame(notice));
  useNotices.setState(({ notices }) => ({ notices: [...notices.slice(1 - MOST), { id, kind, text, details, about }] }));
  if (kind === "info") setTimeout(() => dismiss(id), 1000 * INFO_SECONDS);
}

function keepOnly(wanted: (notice: Notice) => boolean): void {
  const { notices } = useNotices.getState();
  if (!notices.every(wanted)) useNotices.setState({ notices: notices.filter(wanted) });
}

export const dismiss = (id: number): void => keepOnly((notice) => notice.id !== id);

/** A tab's workflow is run again, or closed: what was said of it is over. */
export const forgetRuns = (tab: string): void =>
  keepOnly(({ text, about }) => (about ? about.tab !== tab : !text.startsWith("run.")));

/** A tab's workflow has been changed: why it could not be run may be mended. */
export const forgetRefusals = (tab: string): void =>
  keepOnly(({ text, about }) => about?.tab !== tab || !REFUSALS.has(text));

/** The server is back. */
export const forgetUnreachable = (): void => keepOnly(({ text }) => text !== "run.unreachable");
