/** The editor's root component. */

import { lazy, Suspense, useEffect } from "react";
import { Canvas } from "./canvas/Canvas";
import { forgetColors } from "./canvas/palette";
import { reveal } from "./canvas/reveal";
import { stage } from "./canvas/stage";
import { Ask } from "./panels/Ask";
import { Connection } from "./panels/Connection";
import { ContextMenu } from "./panels/ContextMenu";
import { Crumbs } from "./panels/Crumbs";
import { Notices } from "./panels/Notices";
import { Rail } from "./panels/Rail";
import { SearchPalette } from "./panels/SearchPalette";
import { Tips } from "./panels/Tips";
import { TopBar } from "./panels/TopBar";
import { useFileDrop } from "./panels/useFileDrop";
import { useKeys } from "./panels/useKeys";
import { usePageTitle } from "./panels/usePageTitle";
import { ViewTools } from "./panels/ViewTools";
import { useEditor, useTab } from "./state/editor";
import { lessonOf } from "./state/lesson";
import { useSettings } from "./state/settings";
import { useUi } from "./state/ui";

const AppView = lazy(() => import("./app/AppView"));
const SidePanel = lazy(() => import("./panels/SidePanel"));
const Viewer = lazy(() => import("./panels/Viewer"));
const MaskPainter = lazy(() => import("./panels/MaskPainter"));
const Shortcuts = lazy(() => import("./panels/Shortcuts"));
const SubgraphFields = lazy(() => import("./panels/SubgraphFields"));
const SweepDialog = lazy(() => import("./panels/SweepDialog"));
const HistoryList = lazy(() => import("./panels/HistoryList"));
const Settings = lazy(() => import("./panels/Settings"));
const Lesson = lazy(() => import("./panels/Lesson"));
const Welcome = lazy(() => import("./panels/Welcome"));

export function App() {
  const ready = useEditor((state) => state.catalogue.size > 0);
  const { panel, viewer, mask, shortcuts, settings, history, fields, sweep, lesson } = useUi();
  const number = useTab((tab) => lessonOf(tab.history.present));
  const theme = useSettings((state) => state.theme);
  const welcome = useSettings((state) => state.welcome);
  const first = useEditor((state) => state.tabs.length === 1 && state.tabs[0]?.file === null);
  const opened = useEditor((state) => state.opened);
  useEffect(() => {
    if (opened > 0 && ready) void import("./state/missing").then(({ showMissing }) => showMissing());
  }, [opened, ready]);
  const app = useTab((tab) => tab.app);
  useKeys();
  useFileDrop();
  usePageTitle();
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const repaint = () => {
      forgetColors();
      stage?.repaint();
      useUi.setState({});
    };
    repaint();
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", repaint);
    return () => system.removeEventListener("change", repaint);
  }, [theme]);
  return (
    <div className="app">
      <TopBar />
      <Rail />
      <main className="stage">
        {app ? (
          <Suspense>
            <AppView />
          </Suspense>
        ) : (
          <>
            <Canvas />
            <Crumbs />
            <ViewTools />
          </>
        )}
        <Connection />
        {ready && welcome && !panel && first && !app && (
          <Suspense>
            <Welcome />
          </Suspense>
        )}
      </main>
      {/* The panel's room is taken at once, so that the canvas fits what is left. */}
      {lesson && number !== null && (
        <Suspense fallback={<aside className="lesson" />}>
          <Lesson number={number} />
        </Suspense>
      )}
      {/* One boundary each: within a shared one, an open panel would disappear while the next one loads. */}
      <Suspense>{panel && <SidePanel panel={panel} />}</Suspense>
      <Suspense>{viewer && <Viewer />}</Suspense>
      <Suspense>{mask && <MaskPainter />}</Suspense>
      <Suspense>{shortcuts && <Shortcuts />}</Suspense>
      <Suspense>{settings && <Settings />}</Suspense>
      <Suspense>{history && <HistoryList />}</Suspense>
      <Suspense>{fields !== null && <SubgraphFields />}</Suspense>
      <Suspense>{sweep && <SweepDialog first={sweep} />}</Suspense>
      <Ask />
      <SearchPalette />
      <ContextMenu />
      <Tips />
      <Notices onReveal={reveal} />
    </div>
  );
}
