/** The bar that opens panels and the editor's settings. */

import { type Language, useT, useWords } from "../i18n";
import { useTab } from "../state/editor";
import { useRuns } from "../state/runs";
import { setting } from "../state/settings";
import { type Panel, show, togglePanel, useUi } from "../state/ui";
import { Icon, type IconName } from "../widgets/Icon";
import { openPalette } from "./useKeys";

export function Rail() {
  const t = useT();
  const app = useTab((tab) => tab.app);
  const panel = useUi((state) => state.panel);
  const language = useWords((state) => state.language);
  const waiting = useRuns((state) => state.pending.length + state.active.length);
  const panels: [Panel, IconName, string, string][] = [
    ["start", "workflow", t("app.workflows"), "W"],
    ["models", "model", t("models.title"), "M"],
    ["gallery", "image", t("app.gallery"), "G"],
    ["queue", "queue", t("app.queue"), "Q"],
    ["help", "help", t("app.help"), "F1"],
  ];
  const other: Language = language === "en" ? "zh-CN" : "en";
  return (
    <nav className="rail" aria-label="Sumi">
      <button
        type="button"
        className="rail-button"
        disabled={app}
        onClick={openPalette}
        title={`${t("app.addNode")} (/)`}
      >
        <Icon name="add" />
        <span>{t("app.addNode")}</span>
      </button>
      {panels.map(([name, icon, label, key]) => (
        <button
          type="button"
          key={name}
          className="rail-button"
          data-active={panel === name || undefined}
          aria-pressed={panel === name}
          onClick={() => togglePanel(name)}
          title={`${label} (${key})`}
        >
          <Icon name={icon} />
          <span>{label}</span>
          {name === "queue" && waiting > 0 && <i className="badge">{waiting}</i>}
        </button>
      ))}
      <span className="rail-space" />
      <button
        type="button"
        className="rail-button quiet"
        data-wide-only
        onClick={() => setting("language", other)}
        title={t("app.language")}
        lang={other}
      >
        <Icon name="language" />
        <span>{other === "en" ? "English" : "中文"}</span>
      </button>
      <button
        type="button"
        className="rail-button quiet"
        data-wide-only
        onClick={() => show({ shortcuts: true })}
        title={`${t("app.shortcuts")} (?)`}
      >
        <Icon name="keyboard" />
        <span>{t("app.shortcuts")}</span>
      </button>
      <button
        type="button"
        className="rail-button quiet"
        onClick={() => show({ settings: true })}
        title={`${t("app.settings")} (Ctrl+,)`}
      >
        <Icon name="settings" />
        <span>{t("app.settings")}</span>
      </button>
    </nav>
  );
}
