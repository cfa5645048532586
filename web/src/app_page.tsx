/** The page of one app, or of the list of apps. It never loads the canvas. */

import { lazy, Suspense, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { AppList } from "./app/AppList";
import AppView from "./app/AppView";
import { appName, type Opened, openApp } from "./app/page";
import { useAppKeys } from "./app/useAppKeys";
import { useT } from "./i18n";
import { Ask } from "./panels/Ask";
import { Connection } from "./panels/Connection";
import { Notices } from "./panels/Notices";
import { Refused } from "./server/client";
import { isChanged, useTab } from "./state/editor";
import { save } from "./state/library";
import { connect, useRuns } from "./state/runs";
import { languageLoaded, recallSettings, useSettings } from "./state/settings";
import { useUi } from "./state/ui";
import { Icon } from "./widgets/Icon";
import "./style/tokens.css";
import "./style/app.css";
import "./style/top_bar.css";
import "./style/fields.css";
import "./style/popups.css";
import "./style/dialogs.css";
import "./style/sweep.css";
import "./style/notices.css";
import "./style/app_view.css";

const Viewer = lazy(() => import("./panels/LooseViewer"));
const SweepDialog = lazy(() => import("./panels/SweepDialog"));
const MaskPainter = lazy(() => import("./panels/LooseMaskPainter"));

const RETRY = 1000;

function useTheme(): void {
  const theme = useSettings((state) => state.theme);
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
}

function Page({ name, opened }: { name: string; opened: Opened }) {
  const t = useT();
  useTheme();
  if (opened !== "opened") {
    const text = opened === "not found" ? "appView.notFound" : "appView.unreadable";
    return (
      <main className="app-list">
        <p role="alert">{t(text, { name })}</p>
        <a href="app">{t("appView.list")}</a>
      </main>
    );
  }
  return <OneApp />;
}

function List() {
  useTheme();
  return <AppList />;
}

function OneApp() {
  const t = useT();
  const { viewer, mask, sweep } = useUi();
  const changed = useTab(isChanged);
  const file = useTab((tab) => tab.file);
  const name = useTab((tab) => tab.name);
  useAppKeys();
  useEffect(() => {
    document.title = `${name} · Sumi`;
  }, [name]);
  return (
    <div className="app-page">
      <header className="top-bar">
        <a className="button small" href="app">
          <Icon name="grid" /> {t("appView.list")}
        </a>
        <span className="app-page-space" />
        {file !== null && (
          <a className="button small" href={`./#open=${encodeURIComponent(file)}`}>
            <Icon name="workflow" /> {t("appView.edit")}
          </a>
        )}
        <button
          type="button"
          className="icon-button"
          title={`${t("app.save")} (Ctrl+S)`}
          aria-label={t("app.save")}
          disabled={!changed && file !== null}
          onClick={() => void save()}
        >
          <Icon name="save" />
        </button>
      </header>
      <main className="stage">
        <AppView />
        <Connection />
      </main>
      <Suspense>{viewer && <Viewer />}</Suspense>
      <Suspense>{mask && <MaskPainter />}</Suspense>
      <Suspense>{sweep && <SweepDialog first={sweep} />}</Suspense>
      <Ask />
      <Notices />
    </div>
  );
}

/** Try until the server can be reached. */
async function untilOpened(name: string): Promise<Opened> {
  for (;;) {
    try {
      return await openApp(name);
    } catch (error) {
      useRuns.setState({ trouble: error instanceof Refused && error.status === 503 ? "noWorker" : "unreachable" });
      await new Promise((resolve) => setTimeout(resolve, RETRY)); // it may still be starting
    }
  }
}

async function open(): Promise<void> {
  const name = appName();
  document.body.dataset.app = "";
  void recallSettings();
  const root = createRoot(document.getElementById("root") as HTMLElement);
  if (!name) {
    await languageLoaded();
    root.render(<List />);
    return;
  }
  const [opened] = await Promise.all([untilOpened(name), languageLoaded()]);
  useRuns.setState({ trouble: null });
  connect(() => undefined);
  root.render(<Page name={name} opened={opened} />);
}

void open();
