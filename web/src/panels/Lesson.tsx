/** The panel beside a lesson's workflow: its text, Run, next and back. */

import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useT, useWords } from "../i18n";
import { fileKey, picturesOf, server, textsOf, viewUrl } from "../server/client";
import { useTab } from "../state/editor";
import { LESSONS, retellLesson } from "../state/lesson";
import { progressOf, useRuns } from "../state/runs";
import { setting } from "../state/settings";
import { run } from "../state/submission";
import { show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { OutputText } from "../widgets/OutputText";
import type { Chapter } from "./chapters";
import { chapters, lessonDocument, openLesson } from "./lessons";

const Markdown = lazy(() => import("../widgets/Markdown"));

const NUMBERS = Array.from({ length: LESSONS }, (_, index) => index + 1);

function useChapters(): readonly Chapter[] {
  const language = useWords((state) => state.language);
  const [found, setFound] = useState<readonly Chapter[]>([]);
  useEffect(() => {
    let wanted = true;
    void chapters(language).then((texts) => wanted && setFound(texts));
    return () => {
      wanted = false;
    };
  }, [language]);
  return found;
}

export default function Lesson({ number }: { number: number }) {
  const t = useT();
  const found = useChapters();
  const language = useWords((state) => state.language);
  const paper = useRef<HTMLDivElement>(null);
  const before = useRef(language);
  useEffect(() => setting("lesson", number), [number]);
  useEffect(() => {
    paper.current?.scrollTo(0, 0);
  }, [number]);
  useEffect(() => {
    if (before.current === language) return;
    before.current = language;
    void lessonDocument(number, language).then(retellLesson);
  }, [number, language]);
  const chapter = found[number - 1];
  return (
    <aside className="lesson" aria-label={t("lesson.name")}>
      <header>
        <strong>{t("lesson.name")}</strong>
        <span>{t("lesson.place", { number, count: LESSONS })}</span>
        <button
          type="button"
          className="icon-button"
          aria-label={t("app.close")}
          title={t("app.close")}
          onClick={() => show({ lesson: false })}
        >
          <Icon name="close" />
        </button>
      </header>
      <nav className="lesson-steps" aria-label={t("lesson.chapters")}>
        {NUMBERS.map((each) => (
          <button
            type="button"
            key={each}
            aria-current={each === number ? "step" : undefined}
            data-past={each < number || undefined}
            title={found[each - 1]?.title}
            aria-label={`${each}. ${found[each - 1]?.title ?? ""}`}
            onClick={() => void openLesson(each)}
          />
        ))}
      </nav>
      <div className="lesson-text markdown" ref={paper} tabIndex={0} role="document" aria-label={chapter?.title}>
        {chapter && <h2>{chapter.title}</h2>}
        <Suspense>{chapter && <Markdown text={chapter.text} />}</Suspense>
        <Results />
      </div>
      <Foot number={number} />
    </aside>
  );
}

function Foot({ number }: { number: number }) {
  const t = useT();
  const tab = useTab(({ id }) => id);
  const verdict = useRuns((state) => state.verdicts[tab]);
  const ran = useRuns((state) => Object.values(state.nodes[tab] ?? {}).some(({ output }) => output !== undefined));
  const progress = useRuns(progressOf);
  const running = verdict === "running";
  const done = ran && !running;
  return (
    <footer>
      <button
        type="button"
        className="button"
        disabled={number === 1}
        aria-label={t("lesson.back")}
        title={t("lesson.back")}
        onClick={() => void openLesson(number - 1)}
      >
        <Icon name="chevron" />
      </button>
      <button
        type="button"
        className={`button lesson-run ${done ? "" : "primary"}`}
        onClick={() => void (running ? server.interrupt() : run())}
      >
        <Icon name={running ? "stop" : "play"} />
        {running ? t("lesson.stop", { percent: Math.round(100 * progress) }) : t(ran ? "lesson.again" : "lesson.run")}
      </button>
      {number < LESSONS && (
        <button type="button" className={`button ${done ? "primary" : ""}`} onClick={() => void openLesson(number + 1)}>
          {t("lesson.next")}
          <Icon name="chevron" />
        </button>
      )}
    </footer>
  );
}

/** What the nodes show, for narrow screens: on the canvas their pictures would be small. */
function Results() {
  const t = useT();
  const nodes = useTab((tab) => tab.history.present.nodes);
  const tab = useTab(({ id }) => id);
  const runs = useRuns((state) => state.nodes[tab]);
  const shown = nodes.flatMap(({ id, title, type }) => {
    const output = runs?.[String(id)]?.output;
    const text = textsOf(output).join("\n\n");
    const pictures = picturesOf(output).map((file) => ({ ...file, said: text }));
    return pictures.length || text ? [{ id, title: title || type, pictures, text }] : [];
  });
  if (!shown.length) return null;
  return (
    <section className="lesson-results" aria-label={t("lesson.results")}>
      {shown.map(({ id, title, pictures, text }) => (
        <figure key={id}>
          <figcaption>{title}</figcaption>
          {pictures.map((file, index) => (
            <button
              type="button"
              key={fileKey(file)}
              aria-label={`${t("node.enlarge")}: ${title}`}
              onClick={() => show({ viewer: { pictures, index } })}
            >
              <img src={viewUrl(file)} alt="" loading="lazy" />
            </button>
          ))}
          {text && (
            <div className="lesson-result" role="region" aria-label={title} tabIndex={0}>
              <OutputText text={text} />
            </div>
          )}
        </figure>
      ))}
    </section>
  );
}
