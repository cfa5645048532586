/** The browser tab's title and icon show how far a run is. */

import { useEffect } from "react";
import { useRuns } from "../state/runs";
import { useTab } from "../state/editor";

export function usePageTitle(): void {
  const name = useTab((tab) => tab.name);
  const running = useRuns((state) => state.active.length > 0);
  const percent = useRuns((state) => Math.round(state.progress * 100));
  useEffect(() => {
    document.title = running ? `${percent} % · ${name}` : `${name} · Sumi`;
    const around = 2 * Math.PI * 12;
    const ring = running
      ? `<circle cx="16" cy="16" r="12" fill="none" stroke="#8884" stroke-width="6"/><circle cx="16" cy="16" r="12" fill="none" stroke="#5b59d6" stroke-width="6" stroke-dasharray="${(around * percent) / 100} ${around}" transform="rotate(-90 16 16)"/>`
      : `<path d="M16 3.5c4.6 5.6 8.6 9.9 8.6 15.2a8.6 8.6 0 0 1-17.2 0C7.4 13.4 11.4 9.1 16 3.5z" fill="#5b59d6"/>`;
    const icon = document.getElementById("icon") as HTMLLinkElement;
    icon.href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${ring}</svg>`)}`;
  }, [name, running, percent]);
}
