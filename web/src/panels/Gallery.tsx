/** Everything that was made, newest first. Only the rows in view are there: thousands stay smooth. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { fileKey, thumbnailUrl } from "../server/client";
import { more, refresh, useGallery } from "../state/gallery";
import { useRuns } from "../state/runs";
import { show } from "../state/ui";

const LEAST_TILE = 120;
const GAP = 6;
const SPARE_ROWS = 3;

export function Gallery() {
  const t = useT();
  const ended = useRuns((state) => state.ended);
  const { pictures, complete, asked } = useGallery();
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, width: 0, height: 0 });
  useEffect(() => {
    refresh().catch(() => undefined); // the connection's banner says why
  }, [ended]);
  useLayoutEffect(() => {
    const element = scroller.current as HTMLDivElement;
    const look = () => setView({ top: element.scrollTop, width: element.clientWidth, height: element.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);
  const columns = Math.max(2, Math.floor((view.width + GAP) / (LEAST_TILE + GAP)));
  const row = (view.width - GAP * (columns - 1)) / columns + GAP;
  const rows = Math.ceil(pictures.length / columns);
  const first = Math.max(0, Math.floor(view.top / row) - SPARE_ROWS);
  const last = Math.min(rows, Math.ceil((view.top + view.height) / row) + SPARE_ROWS);
  const atFoot = view.width > 0 && asked && !complete && last >= rows - SPARE_ROWS;
  useEffect(() => {
    if (atFoot) more().catch(() => undefined);
  }, [atFoot, pictures.length]);
  const inView = view.width ? pictures.slice(first * columns, last * columns) : [];
  return (
    <div className="panel-body gallery" ref={scroller} tabIndex={-1} aria-busy={!asked}>
      {asked && complete && !pictures.length && <p className="hint">{t("gallery.empty")}</p>}
      <div
        className="gallery-sheet"
        style={{ height: rows * row, gridTemplateColumns: `repeat(${columns}, 1fr)`, paddingTop: first * row }}
      >
        {inView.map((file, index) => (
          <button
            type="button"
            key={fileKey(file)}
            className="thumbnail"
            title={file.filename}
            onClick={() => show({ viewer: { pictures, index: first * columns + index } })}
          >
            <img loading="lazy" decoding="async" src={thumbnailUrl(file)} alt={file.filename} />
          </button>
        ))}
      </div>
    </div>
  );
}
