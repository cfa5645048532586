import { createRoot } from "react-dom/client";
import { App } from "./App";
import { recallLanguage } from "./i18n";
import { keepSession, recallSession, refreshCatalogue } from "./state/files";
import { connect } from "./state/runs";
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
      return await refreshCatalogue();
    } catch {
      await pause(RETRY); // the server is still starting
    }
  }
}

async function open(): Promise<void> {
  recallSession();
  keepSession();
  connect();
  // The nodes come while this script does. Waiting for them a moment, rather than building an empty canvas first and
  // all again when they are there, is the quicker way to a page that one can use.
  await Promise.all([recallLanguage(), Promise.race([untilKnown(), pause(PATIENCE)])]);
  createRoot(document.getElementById("root") as HTMLElement).render(<App />);
}

void open();
