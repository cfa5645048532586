import { createRoot } from "react-dom/client";
import { App } from "./App";
import { Refused } from "./server/client";
import { openPacked, refreshCatalogue } from "./state/files";
import { openSaved } from "./state/library";
import { connect, useRuns } from "./state/runs";
import { keepSession, recallSession } from "./state/session";
import { languageLoaded, recallSettings } from "./state/settings";
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
import "./style/help.css";
import "./style/missing.css";
import "./style/lesson.css";
import "./style/models.css";
import "./style/dialogs.css";
import "./style/sweep.css";
import "./style/notices.css";
import "./style/viewer.css";
import "./style/split.css";
import "./style/mask_painter.css";
import "./style/app_view.css";
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

/** Open the saved workflow that the address names after `#open=`, or the one that it carries after `#workflow=`. */
async function openAddressed(): Promise<void> {
  const [, what, value] = /^#(open|workflow)=(.+)$/.exec(location.hash) ?? [];
  if (value === undefined) return;
  history.replaceState(null, "", location.pathname + location.search);
  await (what === "open" ? openSaved(decodeURIComponent(value)) : openPacked(value));
}

async function open(): Promise<void> {
  const recalled = recallSession().then(keepSession);
  void recallSettings();
  connect(() => void untilKnown()); // nodes and files may have changed in the meantime
  const known = Promise.race([untilKnown(), pause(PATIENCE)]);
  // The node list loads in parallel with this script. Waiting a moment for it gives a usable page sooner than building
  // an empty canvas first and everything again when the list arrives.
  await Promise.all([recalled, languageLoaded(), known]);
  void openAddressed();
  createRoot(document.getElementById("root") as HTMLElement).render(<App />);
}

void open();
