/** Zoom, undo, and tidying, at the foot of the canvas. */

import { stage } from "../canvas/Canvas";
import { useT } from "../i18n";
import { fitView, redoStep, undoStep, useTab } from "../state/editor";
import { tidy } from "../state/commands";
import { toggleMinimap, useUi } from "../state/ui";
import { Icon, type IconName } from "../widgets/Icon";

function zoom(factor: number): void {
  if (!stage) return;
  const { x, y, zoom: before } = stage.view;
  const after = Math.min(2.5, Math.max(0.04, before * factor));
  const [middleX, middleY] = [stage.size.width / 2, stage.size.height / 2];
  const ratio = after / before;
  stage.setView({ zoom: after, x: middleX - (middleX - x) * ratio, y: middleY - (middleY - y) * ratio }, true);
}

export function ViewTools() {
  const t = useT();
  const canUndo = useTab((tab) => tab.history.past.length > 0);
  const canRedo = useTab((tab) => tab.history.future.length > 0);
  const minimap = useUi((state) => state.minimap);
  const tool = (icon: IconName, label: string, act: () => void, disabled = false, pressed?: boolean) => (
    <button type="button" className="icon-button" title={label} aria-label={label} onClick={act} disabled={disabled} aria-pressed={pressed}>
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="view-tools" role="toolbar">
      {tool("undo", `${t("app.undo")} (Ctrl+Z)`, undoStep, !canUndo)}
      {tool("redo", `${t("app.redo")} (Ctrl+Shift+Z)`, redoStep, !canRedo)}
      <i className="divider" />
      {tool("minusMagnifier", t("app.zoomOut"), () => zoom(1 / 1.3))}
      {tool("plusMagnifier", t("app.zoomIn"), () => zoom(1.3))}
      {tool("fit", `${t("app.fit")} (.)`, fitView)}
      {tool("layout", `${t("app.layout")} (L)`, () => void tidy())}
      {tool("map", t("app.minimap"), toggleMinimap, false, minimap)}
    </div>
  );
}
