/** Which subgraph one is in, and the way out. */

import { useT } from "../i18n";
import { subgraphs } from "../graph/document";
import { changeTab, useTab } from "../state/editor";

export function Crumbs() {
  const t = useT();
  const path = useTab((tab) => tab.path);
  const doc = useTab((tab) => tab.history.present);
  if (!path.length) return null;
  const leave = (depth: number) => changeTab((tab) => ({ ...tab, path: tab.path.slice(0, depth), selection: new Set(), link: null }));
  return (
    <nav className="crumbs">
      <button type="button" onClick={() => leave(0)}>{t("app.outside")}</button>
      {path.map((entry, index) => (
        <button type="button" key={`${entry.holder}/${entry.definition}`} aria-current={index === path.length - 1 || undefined} onClick={() => leave(index + 1)}>
          {subgraphs(doc).get(entry.definition)?.name ?? entry.definition}
        </button>
      ))}
    </nav>
  );
}
