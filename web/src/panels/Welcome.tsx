/**
 * The welcome strip: examples for new users, below the first workflow. It hides during a run and is closed permanently
 * after two runs.
 */

import { useEffect, useState } from "react";
import { type Key, useT } from "../i18n";
import { server } from "../server/client";
import { useTab } from "../state/editor";
import { useRuns } from "../state/runs";
import { setting } from "../state/settings";
import { Icon } from "../widgets/Icon";
import { EXAMPLES, openExample } from "./examples";
import { openLesson } from "./lessons";

/** The number of successful runs before the page was opened and now; null until the server answers. */
function useRunsMade(): { before: number; now: number } | null {
  const ended = useRuns((state) => state.ended);
  const [made, setMade] = useState<{ before: number; now: number } | null>(null);
  useEffect(() => {
    void server.jobs(["completed"], 1).then(
      ({ pagination: { total } }) => setMade((known) => ({ before: known?.before ?? total, now: total })),
      () => undefined, // the next run requests it again
    );
  }, [ended]);
  return made;
}

const WORDS: readonly (readonly [title: Key, text: Key])[] = [
  ["welcome.title", "welcome.text"],
  ["welcome.made", "welcome.next"],
];

export default function Welcome() {
  const t = useT();
  const tab = useTab(({ id }) => id);
  const running = useRuns((state) => state.active.length > 0 || state.verdicts[tab] === "running");
  const made = useRunsMade();
  const away = () => setting("welcome", false);
  const enough = made !== null && made.now > made.before + 1;
  useEffect(() => {
    if (enough) setting("welcome", false);
  }, [enough]);
  if (running || enough || made === null) return null;
  const [title, text] = WORDS[made.now] ?? (["welcome.again", "welcome.text"] as const);
  return (
    <section className="welcome" aria-label={t("start.examples")}>
      <header>
        <strong>{t(title)}</strong>
        <span>{t(text)}</span>
        <button type="button" className="button small" onClick={() => void openLesson()}>
          <Icon name="lesson" />
          {t("lesson.title")}
        </button>
        <button type="button" className="icon-button" aria-label={t("app.close")} title={t("app.close")} onClick={away}>
          <Icon name="close" />
        </button>
      </header>
      <div className="welcome-examples">
        {EXAMPLES.map(({ name, picture }) => (
          <button
            type="button"
            key={name}
            className="example"
            title={t(`example.${name}.about`)}
            onClick={() => {
              away();
              void openExample(name);
            }}
          >
            <img className="example-picture" src={picture} alt="" width={256} height={160} draggable={false} />
            <span>{t(`example.${name}`)}</span>
          </button>
        ))}
      </div>
    </section>
  );
}
