/** The toolbar at the bottom of the canvas: zoom, undo, tidy up. */

import { zoomBy } from "../canvas/stage";
import { useT } from "../i18n";
import { tidy } from "../state/commands";
import { fitView, redoStep, undoStep, useTab } from "../state/editor";
import { setting, useSettings } from "../state/settings";
import { show } from "../state/ui";
import { Icon, type IconName } from "../widgets/Icon";

export function ViewTools() {
  const t = useT();
  const canUndo = useTab((tab) => tab.history.past.length > 0);
  const canRedo = useTab((tab) => tab.history.future.length > 0);
  const minimap = useSettings((state) => state.minimap);
  const snap = useSettings((state) => state.snap);
  const tool = (
    icon: IconName,
    label: string,
    act: () => void,
    disabled = false,
    pressed?: boolean,
    wideOnly?: boolean,
  ) => (
    <button
      type="button"
      className="icon-button"
      title={label}
      aria-label={label}
      onClick={act}
      disabled={disabled}
      aria-pressed={pressed}
      data-wide-only={wideOnly}
    >
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="view-tools" role="toolbar" aria-label={t("app.viewTools")}>
      {tool("undo", `${t("app.undo")} (Ctrl+Z)`, undoStep, !canUndo)}
      {tool("redo", `${t("app.redo")} (Ctrl+Shift+Z)`, redoStep, !canRedo)}
      {tool("queue", t("history.title"), () => show({ history: true }), !canUndo && !canRedo)}
      <i className="divider" />
      {tool("minusMagnifier", `${t("app.zoomOut")} (-)`, () => zoomBy(1 / 1.3, undefined, true))}
      {tool("plusMagnifier", `${t("app.zoomIn")} (+)`, () => zoomBy(1.3, undefined, true))}
      {tool("fit", `${t("app.fit")} (.)`, fitView)}
      {tool("layout", `${t("app.layout")} (L)`, () => void tidy())}
      {tool("grid", t("app.snap"), () => setting("snap", !snap), false, snap, true)}
      {tool("map", t("app.minimap"), () => setting("minimap", !minimap), false, minimap, true)}
    </div>
  );
}
