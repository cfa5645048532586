import { createRoot } from "react-dom/client";
import { App } from "./App";
import { recallLanguage } from "./i18n";
import { Refused } from "./server/client";
import { keepSession, recallSession, refreshCatalogue } from "./state/files";
import { connect, useRuns } from "./state/runs";
import "./style/tokens.css";
import "./style/app.css";
import "./style/node.css";
import "./style/panels.css";

const RETRY = 1000;
const PATIENCE = 200;

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function untilKnown(): Promise<void> {
  for (;;) {
    try {
      await refreshCatalogue();
      return useRuns.setState({ trouble: null });
    } catch (error) {
      useRuns.setState({ trouble: error instanceof Refused && error.status === 503 ? "noWorker" : "unreachable" });
      await pause(RETRY); // it may still be starting
    }
  }
}

async function open(): Promise<void> {
  recallSession();
  keepSession();
  connect(() => void untilKnown()); // what nodes and files there are may have changed meanwhile
  // The nodes come while this script does. Waiting for them a moment, rather than building an empty canvas first and
  // all again when they are there, is the quicker way to a page that one can use.
  await Promise.all([recallLanguage(), Promise.race([untilKnown(), pause(PATIENCE)])]);
  createRoot(document.getElementById("root") as HTMLElement).render(<App />);
}

void open();
