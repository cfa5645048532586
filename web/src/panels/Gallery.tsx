/** Everything that was made, newest first. */

import { useCallback, useEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { type FileRef, type HistoryEntry, picturesOf, server, viewUrl } from "../server/client";
import { useRuns } from "../state/runs";
import { show } from "../state/ui";

const PAGE = 40;

export interface Made {
  promptId: string;
  file: FileRef;
}

function madeBy(history: Record<string, HistoryEntry>): Made[] {
  return Object.entries(history)
    .flatMap(([promptId, entry]) =>
      Object.values(entry.outputs ?? {}).flatMap((output) => picturesOf(output).map((file) => ({ promptId, file }))),
    )
    .filter(({ file }) => file.type !== "temp")
    .reverse();
}

export function Gallery() {
  const t = useT();
  const ended = useRuns((state) => state.ended);
  const [most, setMost] = useState(PAGE);
  const [made, setMade] = useState<Made[] | null>(null);
  const [complete, setComplete] = useState(false);
  const foot = useRef<HTMLDivElement>(null);
  useEffect(() => {
    void server.history(most).then(
      (history) => {
        setMade(distinct(madeBy(history)));
        setComplete(Object.keys(history).length < most);
      },
      () => setMade([]), // the connection's banner says why
    );
  }, [most, ended]);
  const watch = useCallback((element: HTMLDivElement | null) => {
    foot.current = element;
    if (!element) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && setMost((before) => before + PAGE));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const pictures = (made ?? []).map(({ file }) => file);
  return (
    <div className="panel-body">
      {made?.length === 0 && <p className="hint">{t("gallery.empty")}</p>}
      <div className="gallery">
        {(made ?? []).map(({ file }, index) => (
          <button type="button" key={`${file.subfolder}/${file.filename}`} className="thumbnail" title={file.filename} onClick={() => show({ viewer: { pictures, index } })}>
            <img loading="lazy" src={viewUrl(file, "webp;80")} alt={file.filename} />
          </button>
        ))}
      </div>
      {made && !complete && <div ref={watch} className="gallery-foot" />}
    </div>
  );
}

function distinct(made: Made[]): Made[] {
  const seen = new Set<string>();
  return made.filter(({ file }) => {
    const key = `${file.type}/${file.subfolder}/${file.filename}`;
    return !seen.has(key) && Boolean(seen.add(key));
  });
}
