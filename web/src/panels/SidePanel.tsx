/** The panel beside the rail. */

import { useT } from "../i18n";
import { type Panel, show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { Gallery } from "./Gallery";
import { Queue } from "./Queue";
import { Start } from "./Start";

export default function SidePanel({ panel }: { panel: Panel }) {
  const t = useT();
  const title = { start: t("app.workflows"), gallery: t("app.gallery"), queue: t("app.queue") }[panel];
  return (
    <aside className="side-panel" data-panel={panel} aria-label={title}>
      <header>
        <h2>{title}</h2>
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
