/** All pictures, newest first. Only the visible rows are rendered, so thousands of pictures scroll smoothly. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { fileKey, thumbnailUrl } from "../server/client";
import { isFavourite, recallFavourites, useFavourites } from "../state/favourites";
import { more, refresh, useGallery } from "../state/gallery";
import { useRuns } from "../state/runs";
import { show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { GalleryTools } from "./GalleryTools";

const LEAST_TILE = 120;
const GAP = 6;
const SPARE_ROWS = 3;
const NONE: ReadonlySet<string> = new Set();

export function Gallery() {
  const t = useT();
  const ended = useRuns((state) => state.ended);
  const { pictures: found, complete, asked, search } = useGallery();
  const starred = useFavourites((state) => state.pictures);
  const [favourites, setFavourites] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(NONE);
  const anchor = useRef(0);
  const pictures = favourites ? starred : found;
  const selected = pictures.filter((picture) => chosen.has(fileKey(picture)));
  const select = (index: number, upTo: boolean) => {
    const [from, to] = upTo ? [Math.min(anchor.current, index), Math.max(anchor.current, index)] : [index, index];
    const keys = pictures.slice(from, to + 1).map(fileKey);
    const next = new Set(chosen);
    for (const key of keys) if (upTo || !next.delete(key)) next.add(key);
    anchor.current = index;
    setChosen(next);
  };
  useEffect(() => void recallFavourites().catch(() => undefined), []);
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, width: 0, height: 0 });
  useEffect(() => {
    refresh().catch(() => undefined); // the connection banner shows the reason
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
  const atFoot = !favourites && view.width > 0 && asked && !complete && last >= rows - SPARE_ROWS;
  useEffect(() => {
    if (atFoot) more().catch(() => undefined);
  }, [atFoot, pictures.length]);
  const inView = view.width ? pictures.slice(first * columns, last * columns) : [];
  const empty = favourites
    ? "gallery.noFavourites"
    : search.words || search.since !== null
      ? "gallery.nothingFound"
      : "gallery.empty";
  return (
    <div className="panel-body gallery" ref={scroller} tabIndex={-1} aria-busy={!asked}>
      <GalleryTools
        favourites={favourites}
        onFavourites={(on) => {
          setFavourites(on);
          setChosen(NONE);
        }}
        selected={selected}
        onSelect={(kept) => setChosen(new Set(kept.map(fileKey)))}
      />
      {asked && (complete || favourites) && !pictures.length && <p className="hint">{t(empty)}</p>}
      <div
        className="gallery-sheet"
        style={{ height: rows * row, gridTemplateColumns: `repeat(${columns}, 1fr)`, paddingTop: first * row }}
      >
        {inView.map((file, index) => (
          <div className="tile" key={fileKey(file)} data-chosen={chosen.has(fileKey(file)) || undefined}>
            <button
              type="button"
              className="thumbnail"
              title={file.grid ? `${t("gallery.grid")}: ${file.filename}` : file.filename}
              onClick={(event) => {
                const at = first * columns + index;
                if (event.shiftKey || event.ctrlKey || event.metaKey) select(at, event.shiftKey);
                else show({ viewer: { pictures, index: at } });
              }}
            >
              <img loading="lazy" decoding="async" src={thumbnailUrl(file)} alt={file.filename} />
              {file.grid && (
                <span className="thumbnail-badge">
                  <Icon name="grid" />
                </span>
              )}
              {isFavourite(starred, file) && (
                <span className="thumbnail-badge" data-side="foot">
                  <Icon name="star" />
                </span>
              )}
            </button>
            <label className="tile-corner">
              <input
                type="checkbox"
                className="tile-mark"
                aria-label={t("gallery.select", { name: file.filename })}
                checked={chosen.has(fileKey(file))}
                onChange={(event) => select(first * columns + index, (event.nativeEvent as MouseEvent).shiftKey)}
              />
            </label>
          </div>
        ))}
      </div>
    </div>
  );
}
