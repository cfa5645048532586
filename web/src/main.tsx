import { createRoot } from "react-dom/client";
import { App } from "./App";
import { Refused } from "./server/client";
import { refreshCatalogue } from "./state/files";
import { connect, useRuns } from "./state/runs";
import { keepSession, recallSession } from "./state/session";
import { recallSettings, spoken } from "./state/settings";
import "./style/tokens.css";
import "./style/app.css";
import "./style/top_bar.css";
import "./style/rail.css";
import "./style/canvas.css";
import "./style/node.css";
import "./style/sockets.css";
import "./style/fields.css";
import "./style/note.css";
import "./style/node_output.css";
import "./style/popups.css";
import "./style/side_panel.css";
import "./style/welcome.css";
import "./style/dialogs.css";
import "./style/notices.css";
import "./style/viewer.css";
import "./style/mask_painter.css";
import "./style/phone.css";

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
  const recalled = recallSession().then(keepSession);
  void recallSettings();
  connect(() => void untilKnown()); // what nodes and files there are may have changed meanwhile
  const known = Promise.race([untilKnown(), pause(PATIENCE)]);
  // The nodes come while this script does. Waiting for them a moment, rather than building an empty canvas first and
  // all again when they are there, is the quicker way to a page that one can use.
  await Promise.all([recalled, spoken(), known]);
  createRoot(document.getElementById("root") as HTMLElement).render(<App />);
}

void open();
