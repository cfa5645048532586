/** The list of apps, each with its picture. */

import { useEffect, useState } from "react";
import { type Key, t as text, useT, useWords } from "../i18n";
import { type AppEntry, appPictureUrl, server } from "../server/client";

const isKey = (text: string): text is Key => text in useWords.getState().words;

const shownName = ({ name, example }: AppEntry): string => {
  if (!example) return name;
  const title = `example.${name}`;
  if (isKey(title)) return text(title);
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

export function AppList() {
  const t = useT();
  const [apps, setApps] = useState<AppEntry[] | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    server.apps().then(setApps, () => setFailed(true));
  }, []);
  const own = apps?.filter(({ example }) => !example) ?? [];
  const groups: [string, AppEntry[]][] = [
    [t("appView.apps"), own.filter(({ app }) => app)],
    [t("appView.workflows"), own.filter(({ app }) => !app)],
    [t("appView.examples"), apps?.filter(({ example }) => example) ?? []],
  ];
  return (
    <main className="app-list" aria-busy={apps === null && !failed}>
      <h1>{t("appView.list")}</h1>
      {failed && <p role="alert">{t("run.unreachable")}</p>}
      {apps !== null && !own.some(({ app }) => app) && <p className="hint">{t("appView.noApps")}</p>}
      {groups.map(
        ([title, entries]) =>
          entries.length > 0 && (
            <section key={title} aria-label={title}>
              <h2>{title}</h2>
              <ul>
                {entries.map((entry) => (
                  <li key={entry.file ?? `example ${entry.name}`}>
                    <a
                      href={`app/${(entry.file ?? entry.name)
                        .replace(/\.json$/i, "")
                        .split("/")
                        .map(encodeURIComponent)
                        .join("/")}`}
                    >
                      {entry.picture ? (
                        <img loading="lazy" src={appPictureUrl(entry.file ?? entry.name)} alt="" />
                      ) : (
                        <span className="app-no-picture">{t("appView.noPicture")}</span>
                      )}
                      <strong>{shownName(entry)}</strong>
                    </a>
                  </li>
                ))}
              </ul>
            </section>
          ),
      )}
    </main>
  );
}
