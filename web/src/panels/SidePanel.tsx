/** The panel beside the rail. */

import { useState } from "react";
import { useT } from "../i18n";
import { type Panel, show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { Gallery } from "./Gallery";
import { Queue } from "./Queue";
import { Start } from "./Start";

export default function SidePanel({ panel }: { panel: Panel }) {
  const t = useT();
  const title = { start: t("app.workflows"), gallery: t("app.gallery"), queue: t("app.queue") }[panel];
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
    </aside>
  );
}
