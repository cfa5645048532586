/** The start panel: examples, saved workflows, and unsaved ones from closed windows. */

import { useCallback, useEffect, useState } from "react";
import { emptyDocument } from "../document/document";
import { useT } from "../i18n";
import { confirmed } from "../state/dialogs";
import { openTab } from "../state/editor";
import { type KeptTab, leftovers, takeLeftover } from "../state/session";
import { Icon } from "../widgets/Icon";
import { EXAMPLES, openExample } from "./examples";
import { LessonCard } from "./LessonCard";
import { Library } from "./Library";

export function Start() {
  const t = useT();
  return (
    <div className="panel-body">
      <Leftovers />
      <h3>{t("start.saved")}</h3>
      <Library />
      <h3>{t("lesson.name")}</h3>
      <LessonCard />
      <h3>{t("start.examples")}</h3>
      <div className="examples">
        {EXAMPLES.map(({ name, picture }) => (
          <button
            type="button"
            key={name}
            className="example"
            title={t(`example.${name}.about`)}
            onClick={() => void openExample(name)}
          >
            <img
              className="example-picture"
              src={picture}
              alt=""
              width={256}
              height={160}
              loading="lazy"
              draggable={false}
            />
            <strong>{t(`example.${name}`)}</strong>
            <small>{t(`example.${name}.about`)}</small>
          </button>
        ))}
        <button type="button" className="example" onClick={() => openTab(t("app.untitled"), emptyDocument())}>
          <span className="example-picture empty">
            <Icon name="add" />
          </span>
          <strong>{t("start.empty")}</strong>
          <small>{t("start.emptyAbout")}</small>
        </button>
      </div>
    </div>
  );
}

function Leftovers() {
  const t = useT();
  const [left, setLeft] = useState<KeptTab[]>([]);
  const look = useCallback(() => void leftovers().then(setLeft), []);
  useEffect(look, [look]);
  const discard = async (tab: KeptTab) => {
    if (
      await confirmed(t("start.discard", { name: tab.name }), t("file.deleteText"), {
        id: "delete",
        label: t("menu.delete"),
        kind: "danger",
      })
    )
      await takeLeftover(tab, false);
    look();
  };
  if (!left.length) return null;
  return (
    <>
      <h3>{t("start.leftovers")}</h3>
      <ul className="library">
        {left.map((tab) => (
          <li key={`${tab.window}/${tab.id}`} className="library-row">
            <button type="button" className="library-open" onClick={() => void takeLeftover(tab, true).then(look)}>
              <Icon name="workflow" />
              <span>{tab.name}</span>
              <small>{new Date(tab.at).toLocaleString()}</small>
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label={`${t("menu.delete")} ${tab.name}`}
              title={t("menu.delete")}
              onClick={() => void discard(tab)}
            >
              <Icon name="trash" />
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
