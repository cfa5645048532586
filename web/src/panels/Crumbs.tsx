/** Shows which subgraph is open, with the way out. */

import { useT } from "../i18n";
import { useTab } from "../state/editor";
import { askSubgraphName, leaveTo, placedName } from "../state/subgraph_commands";

export function Crumbs() {
  const t = useT();
  const path = useTab((tab) => tab.path);
  const doc = useTab((tab) => tab.history.present);
  if (!path.length) return null;
  return (
    <nav className="crumbs" aria-label={t("app.outside")}>
      <button type="button" onClick={() => leaveTo(0)}>
        {t("app.outside")}
      </button>
      {path.map((entry, index) => (
        <button
          type="button"
          key={`${entry.holder}/${entry.definition}`}
          aria-current={index === path.length - 1 || undefined}
          title={index === path.length - 1 ? t("subgraph.rename") : undefined}
          onClick={() => (index === path.length - 1 ? void askSubgraphName() : leaveTo(index + 1))}
        >
          {placedName(doc, path, index)}
        </button>
      ))}
    </nav>
  );
}
