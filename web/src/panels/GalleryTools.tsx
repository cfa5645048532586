/** The gallery's tools: search, time, favourites, and what to do with the selected pictures. */

import { useEffect, useState } from "react";
import { type Key, t as say, useT } from "../i18n";
import { ask } from "../state/dialogs";
import { isFavourite, setFavourite, useFavourites } from "../state/favourites";
import { deleteFiles, type Picture, type Search, search } from "../state/gallery";
import { notify } from "../state/notices";
import { Icon } from "../widgets/Icon";

/** Days back, by the text of the choice. */
const TIMES: readonly (readonly [days: number, text: Key])[] = [
  [0, "gallery.anyTime"],
  [1, "gallery.day"],
  [7, "gallery.week"],
  [30, "gallery.month"],
];
const CALM = 300;
const A_DAY = 24 * 3600 * 1000;

interface Props {
  favourites: boolean;
  onFavourites(on: boolean): void;
  selected: readonly Picture[];
  onSelect(pictures: readonly Picture[]): void;
}

export function GalleryTools({ favourites, onFavourites, selected, onSelect }: Props) {
  const t = useT();
  const [words, setWords] = useState("");
  const [days, setDays] = useState(0);
  useEffect(() => {
    const wanted: Search = { words: words.trim(), since: days ? Date.now() - days * A_DAY : null };
    const timer = window.setTimeout(() => void search(wanted).catch(() => undefined), words ? CALM : 0);
    return () => window.clearTimeout(timer);
  }, [words, days]);
  useEffect(() => () => void search({ words: "", since: null }).catch(() => undefined), []);
  const starred = useFavourites((state) => state.pictures);
  const allStarred = selected.every((picture) => isFavourite(starred, picture));
  return (
    <div className="gallery-tools">
      <div className="panel-tools">
        <label className="library-search">
          <Icon name="search" />
          <input
            type="search"
            value={words}
            disabled={favourites}
            placeholder={t("gallery.search")}
            aria-label={t("gallery.search")}
            onChange={(event) => setWords(event.target.value)}
          />
        </label>
        <select
          aria-label={t("gallery.time")}
          value={days}
          disabled={favourites}
          onChange={(event) => setDays(Number(event.target.value))}
        >
          {TIMES.map(([count, text]) => (
            <option key={count} value={count}>
              {t(text)}
            </option>
          ))}
        </select>
        <button
          type="button"
          className="icon-button"
          aria-pressed={favourites}
          aria-label={t("gallery.favourites")}
          title={t("gallery.favourites")}
          onClick={() => onFavourites(!favourites)}
        >
          <Icon name="star" />
        </button>
      </div>
      {selected.length > 0 && (
        <div className="panel-tools" role="toolbar" aria-label={t("gallery.selected", { count: selected.length })}>
          <span className="gallery-count">{t("gallery.selected", { count: selected.length })}</span>
          <button
            type="button"
            className="icon-button"
            aria-label={t(allStarred ? "gallery.unstar" : "gallery.star")}
            title={t(allStarred ? "gallery.unstar" : "gallery.star")}
            onClick={() => void star(selected, !allStarred)}
          >
            <Icon name="star" />
          </button>
          <button
            type="button"
            className="icon-button"
            aria-label={t("gallery.delete")}
            title={t("gallery.delete")}
            onClick={() => void askAndDelete(selected).then((gone) => gone && onSelect([]))}
          >
            <Icon name="trash" />
          </button>
          <button
            type="button"
            className="icon-button"
            aria-label={t("gallery.deselect")}
            title={t("gallery.deselect")}
            onClick={() => onSelect([])}
          >
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  );
}

export async function star(pictures: readonly Picture[], on: boolean): Promise<void> {
  try {
    await setFavourite(pictures, on);
  } catch {
    notify("error", "run.unreachable");
  }
}

/** Ask once, then delete the files. False: nothing was deleted. */
async function askAndDelete(pictures: readonly Picture[]): Promise<boolean> {
  const count = pictures.length;
  const given = await ask({
    title: say("gallery.deleteTitle", { count }),
    text: say("file.deleteText"),
    choices: [{ id: "delete", label: say("gallery.delete"), kind: "danger" }],
  });
  if (given === null) return false;
  try {
    await deleteFiles(pictures);
    return true;
  } catch (error) {
    notify("error", "run.refused", error instanceof Error ? error.message : undefined);
    return false;
  }
}
