import { useEffect, useState } from "react";

/** Return the focus to its previous owner when this component unmounts, unless another element has taken it. */
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
