/** Keyboard shortcuts of a page with one app. */

import { useEffect } from "react";
import { server } from "../server/client";
import { useQuestions } from "../state/dialogs";
import { current, redoStep, undoStep } from "../state/editor";
import { save } from "../state/library";
import { run } from "../state/submission";

export function useAppKeys(): void {
  useEffect(() => {
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
}

function press(event: KeyboardEvent): void {
  if (useQuestions.getState().asked.length || !(event.ctrlKey || event.metaKey)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const typing = event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement;
  if (key === "Enter") {
    (document.activeElement as HTMLElement | null)?.blur?.();
    void (event.altKey ? server.interrupt() : run(event.shiftKey));
  } else if (key === "s") void save(current(), event.shiftKey);
  else if (key === "z" && !typing) event.shiftKey ? redoStep() : undoStep();
  else if (key === "y" && !typing) redoStep();
  else return;
  event.preventDefault();
}
