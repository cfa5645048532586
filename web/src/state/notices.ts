/**
 * Short messages. Information disappears after a few seconds. An error stays until a person closes it or it is out of
 * date: an error about a run until the workflow's next run, a rejection until the workflow changes.
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

/** The tab that shows the message, and the run-time id of the node it is about. */
export interface About {
  tab: string;
  id?: string;
}

export const useNotices = create<{ notices: Notice[] }>(() => ({ notices: [] }));

const INFO_SECONDS = 3.5;
/** For a message that offers something to do. */
const OFFER_SECONDS = 12;
const OFFERS: ReadonlySet<Key> = new Set<Key>(["run.unchanged"]);
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
  if (kind === "info") setTimeout(() => dismiss(id), 1000 * (OFFERS.has(text) ? OFFER_SECONDS : INFO_SECONDS));
}

function keepOnly(wanted: (notice: Notice) => boolean): void {
  const { notices } = useNotices.getState();
  if (!notices.every(wanted)) useNotices.setState({ notices: notices.filter(wanted) });
}

export const dismiss = (id: number): void => keepOnly((notice) => notice.id !== id);

/** Remove the messages about a tab whose workflow runs again or is closed. */
export const forgetRuns = (tab: string): void =>
  keepOnly(({ text, about }) => (about ? about.tab !== tab : !text.startsWith("run.")));

/** Remove the rejections of a tab whose workflow has changed. */
export const forgetRefusals = (tab: string): void =>
  keepOnly(({ text, about }) => about?.tab !== tab || !REFUSALS.has(text));

/** Remove the messages about an unreachable server. */
export const forgetUnreachable = (): void => keepOnly(({ text }) => text !== "run.unreachable");
