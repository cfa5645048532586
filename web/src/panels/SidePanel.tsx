/** The panel beside the rail. */

import { useState } from "react";
import { type Key, useT } from "../i18n";
import { type Panel, show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { Gallery } from "./Gallery";
import { HelpPanel } from "./HelpPanel";
import { MissingPanel } from "./MissingPanel";
import { ModelsPanel } from "./ModelsPanel";
import { Queue } from "./Queue";
import { Start } from "./Start";

const TITLES: Record<Panel, Key> = {
  start: "app.workflows",
  gallery: "app.gallery",
  queue: "app.queue",
  help: "app.help",
  missing: "missing.title",
  models: "models.title",
};

export default function SidePanel({ panel }: { panel: Panel }) {
  const t = useT();
  const title = t(TITLES[panel]);
  const [wide, setWide] = useState(false);
  return (
    <aside
      className="side-panel"
      data-panel={panel}
      data-wide={(panel === "gallery" && wide) || undefined}
      aria-label={title}
    >
      <header>
        <h2>{title}</h2>
        {panel === "gallery" && (
          <button
            type="button"
            className="icon-button"
            aria-label={t("gallery.wide")}
            title={t("gallery.wide")}
            aria-pressed={wide}
            onClick={() => setWide(!wide)}
          >
            <Icon name="wide" />
          </button>
        )}
        <button type="button" className="icon-button" aria-label={t("app.close")} onClick={() => show({ panel: null })}>
          <Icon name="close" />
        </button>
      </header>
      {panel === "start" && <Start />}
      {panel === "gallery" && <Gallery />}
      {panel === "queue" && <Queue />}
      {panel === "help" && <HelpPanel />}
      {panel === "missing" && <MissingPanel />}
      {panel === "models" && <ModelsPanel />}
    </aside>
  );
}
