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

async function untilKnown(): Promise<void> {
  for (;;) {
    try {
      return await refreshCatalogue();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY)); // the server is still starting
    }
  }
}

void recallLanguage();
recallSession();
keepSession();
connect();
void untilKnown();
createRoot(document.getElementById("root") as HTMLElement).render(<App />);
