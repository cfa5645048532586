/** The browser tab's title and icon show how far a run is. */

import { useEffect } from "react";
import { useT } from "../i18n";
import { useEditor, useTab } from "../state/editor";
import { progressOf, useRuns } from "../state/runs";

const DROP =
  '<path d="M16 3.5c4.6 5.6 8.6 9.9 8.6 15.2a8.6 8.6 0 0 1-17.2 0C7.4 13.4 11.4 9.1 16 3.5z" fill="#5b59d6"/>';
const AROUND = 2 * Math.PI * 12;

const ring = (percent: number) =>
  `<circle cx="16" cy="16" r="12" fill="none" stroke="#8884" stroke-width="6"/><circle cx="16" cy="16" r="12" fill="none" stroke="#5b59d6" stroke-width="6" stroke-dasharray="${(AROUND * percent) / 100} ${AROUND}" transform="rotate(-90 16 16)"/>`;

export function usePageTitle(): void {
  const t = useT();
  const open = useTab((tab) => tab.name);
  const promptId = useRuns((state) => state.active[0]?.[1]);
  const tab = useRuns((state) => (promptId === undefined ? undefined : state.jobs[promptId]?.tab));
  const name = useEditor((state) => state.tabs.find((entry) => entry.id === tab)?.name);
  const percent = useRuns((state) => Math.round(progressOf(state) * 100));
  const connected = useRuns((state) => state.connected);
  const running = promptId !== undefined;
  // Runs that another page queued count, too, but only that page receives their progress.
  const title = !connected
    ? t("title.lost", { name: open })
    : !running
      ? `${open} · Sumi`
      : name === undefined
        ? t("title.busy", { name: open })
        : `${percent} % · ${name}`;
  useEffect(() => {
    document.title = title;
    const icon = document.getElementById("icon") as HTMLLinkElement;
    const drawing = running && connected ? ring(name === undefined ? 25 : Math.max(4, percent)) : DROP;
    icon.href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${drawing}</svg>`)}`;
  }, [title, name, running, connected, percent]);
}
