import { useEffect, useState } from "react";

/** What closes gives the focus back to what had it before, unless something else has taken it. */
export function useReturnedFocus(): void {
  const [before] = useState(() => document.activeElement as HTMLElement | null);
  useEffect(
    () => () => {
      const lost = document.activeElement === null || document.activeElement === document.body;
      if (lost && before?.isConnected) before.focus({ preventScroll: true });
    },
    [before],
  );
}
