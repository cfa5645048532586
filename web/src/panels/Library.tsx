/** The workflows saved on the server, by folder. */

import { useCallback, useEffect, useState } from "react";
import { useT, useWords } from "../i18n";
import { server } from "../server/client";
import { useEditor, useTab } from "../state/editor";
import { foldersOf, openSaved, remove, rename, type Saved, shownName } from "../state/library";
import { Icon } from "../widgets/Icon";

export function Library() {
  const t = useT();
  const files = useEditor((state) => state.tabs.map((tab) => tab.file).join("\n"));
  const shown = useTab((tab) => tab.file);
  const [saved, setSaved] = useState<Saved[] | null>(null);
  const [wanted, setWanted] = useState("");
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const look = useCallback(
    () =>
      void server.workflows().then(
        (found) => setSaved(found.filter(({ path }) => /\.json$/i.test(path))),
        () => setSaved(null),
      ),
    [],
  );
  useEffect(look, [look, files]);
  if (saved === null) return null;
  if (!saved.length) return <p className="hint">{t("start.nothingSaved")}</p>;
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const found = saved.filter(({ path }) => words.every((word) => path.toLowerCase().includes(word)));
  const rows = words.length
    ? found.map((entry) => ({ ...entry, depth: 0, folder: false, name: shownName(entry.path) }))
    : tree(found, closed);
  return (
    <>
      <label className="library-search">
        <Icon name="search" />
        <input
          type="search"
          value={wanted}
          placeholder={t("start.search")}
          aria-label={t("start.search")}
          onChange={(event) => setWanted(event.target.value)}
        />
      </label>
      <ul className="library">
        {rows.map(({ path, name, depth, folder, modified }) => (
          <li
            key={path}
            className="library-row"
            data-folder={folder || undefined}
            data-shown={path === shown || undefined}
            style={{ paddingLeft: 14 * depth }}
          >
            <button
              type="button"
              className="library-open"
              title={shownName(path)}
              aria-expanded={folder ? !closed.has(path) : undefined}
              onClick={() => (folder ? setClosed(toggled(closed, path)) : void openSaved(path))}
            >
              <Icon name={folder ? "folder" : "workflow"} />
              <span>{name}</span>
              {!folder && <When at={modified} />}
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label={`${t("menu.rename")} ${shownName(path)}`}
              title={t("menu.rename")}
              onClick={() => void rename(path, folder).then(look)}
            >
              <Icon name="pencil" />
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label={`${t("menu.delete")} ${shownName(path)}`}
              title={t("menu.delete")}
              onClick={() => void remove(path, folder).then(look)}
            >
              <Icon name="trash" />
            </button>
          </li>
        ))}
      </ul>
      {!rows.length && <p className="hint">{t("widget.nothing")}</p>}
    </>
  );
}

interface Row extends Saved {
  name: string;
  depth: number;
  folder: boolean;
}

const toggled = (set: ReadonlySet<string>, entry: string): ReadonlySet<string> => {
  const changed = new Set(set);
  if (!changed.delete(entry)) changed.add(entry);
  return changed;
};

const parentOf = (path: string) => path.replace(/\/?[^/]*$/, "");
const byName = (first: Row, second: Row) => first.name.localeCompare(second.name, undefined, { numeric: true });

/** Folders before files, both by name; the contents of closed folders are left out. */
function tree(saved: readonly Saved[], closed: ReadonlySet<string>, parent = "", depth = 0): Row[] {
  const folders = foldersOf(saved)
    .filter((folder) => parentOf(folder) === parent)
    .map((path) => ({ path, modified: 0, depth, folder: true, name: path.slice(parent ? parent.length + 1 : 0) }));
  const files = saved
    .filter(({ path }) => parentOf(path) === parent)
    .map((entry) => ({
      ...entry,
      depth,
      folder: false,
      name: shownName(entry.path.slice(parent ? parent.length + 1 : 0)),
    }));
  return [
    ...folders.sort(byName).flatMap((row) => [
      row,
      ...(closed.has(row.path)
        ? []
        : tree(
            saved.filter(({ path }) => path.startsWith(`${row.path}/`)),
            closed,
            row.path,
            depth + 1,
          )),
    ]),
    ...files.sort(byName),
  ];
}

function When({ at }: { at: number }) {
  const language = useWords((state) => state.language);
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const text = today
    ? date.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString(language, { month: "short", day: "numeric", year: "numeric" });
  return <small title={date.toLocaleString(language)}>{text}</small>;
}
