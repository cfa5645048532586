/** The editor's settings. */

import { useT } from "../i18n";
import { type Settings as Chosen, setting, useSettings } from "../state/settings";
import { show } from "../state/ui";
import { Dialog } from "./Dialog";

export default function Settings() {
  const t = useT();
  const chosen = useSettings();
  const either = (name: "snap" | "minimap" | "welcome", label: string, hint: string) => (
    <label className="setting">
      <span>
        {label}
        <small>{hint}</small>
      </span>
      <input
        type="checkbox"
        role="switch"
        className="switch"
        checked={chosen[name]}
        onChange={(event) => setting(name, event.target.checked)}
      />
    </label>
  );
  return (
    <Dialog title={t("app.settings")} onClose={() => show({ settings: false })} narrow>
      <div className="settings">
        <div className="setting" role="radiogroup" aria-label={t("app.theme")}>
          <span>{t("app.theme")}</span>
          <Segments
            name="theme"
            value={chosen.theme}
            options={[
              ["auto", t("app.theme.auto")],
              ["light", t("app.theme.light")],
              ["dark", t("app.theme.dark")],
            ]}
          />
        </div>
        <div className="setting" role="radiogroup" aria-label={t("app.language")}>
          <span>{t("app.language")}</span>
          <Segments
            name="language"
            value={chosen.language}
            options={[
              ["auto", t("settings.browsers")],
              ["en", "English"],
              ["zh-CN", "简体中文"],
            ]}
          />
        </div>
        <div className="setting" role="radiogroup" aria-label={t("settings.seeds")}>
          <span>
            {t("settings.seeds")}
            <small>{t("settings.seedsHint")}</small>
          </span>
          <Segments
            name="seeds"
            value={chosen.seeds}
            options={[
              ["before", t("settings.seeds.before")],
              ["after", t("settings.seeds.after")],
            ]}
          />
        </div>
        {either("snap", t("app.snap"), t("settings.snapHint"))}
        {either("minimap", t("app.minimap"), t("settings.minimapHint"))}
        {either("welcome", t("settings.welcome"), t("settings.welcomeHint"))}
      </div>
    </Dialog>
  );
}

function Segments<Name extends "theme" | "language" | "seeds">({
  name,
  value,
  options,
}: {
  name: Name;
  value: Chosen[Name];
  options: [Chosen[Name], string][];
}) {
  return (
    <span className="segments">
      {options.map(([option, label]) => (
        <label key={option} data-chosen={option === value || undefined}>
          <input type="radio" name={name} checked={option === value} onChange={() => setting(name, option)} />
          {label}
        </label>
      ))}
    </span>
  );
}
