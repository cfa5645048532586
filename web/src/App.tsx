/** The editor, put together. */

import { lazy, Suspense, useEffect } from "react";
import { Canvas } from "./canvas/Canvas";
import { forgetColors } from "./canvas/palette";
import { Ask } from "./panels/Ask";
import { Connection } from "./panels/Connection";
import { ContextMenu } from "./panels/ContextMenu";
import { Crumbs } from "./panels/Crumbs";
import { Notices } from "./panels/Notices";
import { Rail } from "./panels/Rail";
import { SearchPalette } from "./panels/SearchPalette";
import { TopBar } from "./panels/TopBar";
import { useFileDrop } from "./panels/useFileDrop";
import { useKeys } from "./panels/useKeys";
import { usePageTitle } from "./panels/usePageTitle";
import { ViewTools } from "./panels/ViewTools";
import { useEditor } from "./state/editor";
import { useSettings } from "./state/settings";
import { useUi } from "./state/ui";

const SidePanel = lazy(() => import("./panels/SidePanel"));
const Viewer = lazy(() => import("./panels/Viewer"));
const MaskPainter = lazy(() => import("./panels/MaskPainter"));
const Shortcuts = lazy(() => import("./panels/Shortcuts"));
const SubgraphFields = lazy(() => import("./panels/SubgraphFields"));
const Settings = lazy(() => import("./panels/Settings"));
const Welcome = lazy(() => import("./panels/Welcome"));

export function App() {
  const ready = useEditor((state) => state.catalogue.size > 0);
  const { panel, viewer, mask, shortcuts, settings, fields } = useUi();
  const theme = useSettings((state) => state.theme);
  const welcome = useSettings((state) => state.welcome);
  const first = useEditor((state) => state.tabs.length === 1 && state.tabs[0]?.file === null);
  useKeys();
  useFileDrop();
  usePageTitle();
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    forgetColors();
    useUi.setState({});
  }, [theme]);
  return (
    <div className="app">
      <TopBar />
      <Rail />
      <main className="stage">
        <Canvas />
        <Crumbs />
        <ViewTools />
        <Connection />
        {ready && welcome && !panel && first && (
          <Suspense>
            <Welcome />
          </Suspense>
        )}
      </main>
      {/* One each: where they share one, whatever is open vanishes while the next loads. */}
      <Suspense>{panel && <SidePanel panel={panel} />}</Suspense>
      <Suspense>{viewer && <Viewer />}</Suspense>
      <Suspense>{mask && <MaskPainter />}</Suspense>
      <Suspense>{shortcuts && <Shortcuts />}</Suspense>
      <Suspense>{settings && <Settings />}</Suspense>
      <Suspense>{fields !== null && <SubgraphFields />}</Suspense>
      <Ask />
      <SearchPalette />
      <ContextMenu />
      <Notices />
    </div>
  );
}
