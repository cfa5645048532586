/** What the workflow makes: the live preview, the last results, and the pictures of this session. */

import { useEffect, useRef } from "react";
import type { AppForm } from "../document/app_fields";
import { useT } from "../i18n";
import { fileKey, picturesOf, textsOf, thumbnailUrl, viewUrl } from "../server/client";
import { keepPicture, sessionPictures } from "../state/app";
import { useTab } from "../state/editor";
import { type Picture, refresh, useGallery } from "../state/gallery";
import { useRuns } from "../state/runs";
import { show } from "../state/ui";
import { OutputText } from "../widgets/OutputText";

export function AppResult({ form }: { form: AppForm | null }) {
  const t = useT();
  const tab = useTab((open) => open.id);
  const file = useTab((open) => open.file);
  const runs = useRuns((state) => state.nodes[tab]) ?? {};
  const verdict = useRuns((state) => state.verdicts[tab]);
  const ended = useRuns((state) => state.ended);
  const shownPrompt = useRuns((state) => state.shown[tab]);
  const progress = useRuns((state) => state.progress[state.shown[tab] ?? ""]) ?? 0;
  const known = useGallery((state) => state.pictures);
  const session = sessionPictures(tab, known);
  useEffect(() => {
    refresh().catch(() => undefined); // the connection banner shows the reason
  }, [ended]);

  const results = (main: boolean) =>
    (form?.outputs ?? []).flatMap((output) => {
      if (output.main !== main) return [];
      // An output inside an expansion reports for the node that created it.
      const own = Object.entries(runs).filter(([id]) => id === output.node || id.startsWith(`${output.node}.`));
      return own.flatMap(([, run]) => (run.output ? [run.output] : []));
    });
  const withPrompt = (picture: Picture): Picture => ({ ...picture, promptId: shownPrompt });
  const pictures = results(true).flatMap((output) => picturesOf(output).map(withPrompt));
  const texts = results(true).flatMap(textsOf);
  const others = results(false).flatMap((output) => picturesOf(output).map(withPrompt));
  const running = verdict === "running";
  const preview = running ? Object.values(runs).findLast((run) => run.preview)?.preview : undefined;
  const latest = useRef(pictures[0]);
  latest.current = pictures[0];
  const latestKey = pictures[0] && fileKey(pictures[0]);
  useEffect(() => {
    if (verdict === "done" && latestKey) void keepPicture(file, latest.current);
  }, [verdict, file, latestKey]);
  const open = (list: readonly Picture[], index: number) => show({ viewer: { pictures: list, index } });

  return (
    <section className="app-result" aria-label={t("appView.result")} aria-busy={running}>
      <div className="app-stage" data-count={preview ? 1 : Math.min(4, pictures.length)}>
        {preview ? (
          <img className="app-preview" src={preview} alt={t("appView.preview")} />
        ) : (
          pictures.map((picture, index) => (
            <button
              type="button"
              className="app-shot"
              key={fileKey(picture)}
              title={picture.filename}
              onClick={() => open(pictures, index)}
            >
              <img src={viewUrl(picture)} alt={picture.filename} />
            </button>
          ))
        )}
        {!preview && texts.map((text, index) => <OutputText key={index} text={text} />)}
        {!preview && !pictures.length && !texts.length && !running && <p className="hint">{t("appView.empty")}</p>}
        {running && (
          <span
            className="app-progress"
            role="progressbar"
            aria-label={t("appView.run", { percent: Math.round(100 * progress) })}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={Math.round(100 * progress)}
          >
            <i style={{ transform: `scaleX(${Math.max(0.02, progress)})` }} />
          </span>
        )}
      </div>
      {!running && others.length > 0 && (
        <Strip title={t("appView.alsoMade")} pictures={others} onOpen={(index) => open(others, index)} />
      )}
      {session.length > 0 && (
        <Strip title={t("appView.session")} pictures={session} onOpen={(index) => open(session, index)} />
      )}
    </section>
  );
}

function Strip({
  title,
  pictures,
  onOpen,
}: {
  title: string;
  pictures: readonly Picture[];
  onOpen(index: number): void;
}) {
  return (
    <section className="app-strip" aria-label={title}>
      <h3>{title}</h3>
      <div>
        {pictures.map((picture, index) => (
          <button
            type="button"
            className="thumbnail"
            key={fileKey(picture)}
            title={picture.filename}
            onClick={() => onOpen(index)}
          >
            <img loading="lazy" decoding="async" src={thumbnailUrl(picture)} alt={picture.filename} />
          </button>
        ))}
      </div>
    </section>
  );
}
