/** The lesson in the start panel, with the place where the user left it. */

import { useT } from "../i18n";
import { LESSONS } from "../state/lesson";
import { useSettings } from "../state/settings";
import { examplePicture } from "./examples";
import { openLesson } from "./lessons";

export function LessonCard() {
  const t = useT();
  const number = useSettings((state) => state.lesson);
  return (
    <button type="button" className="lesson-card" onClick={() => void openLesson()}>
      <img src={examplePicture("lesson")} alt="" width={256} height={160} loading="lazy" draggable={false} />
      <strong>{t("lesson.title")}</strong>
      <small>{number ? t("lesson.place", { number, count: LESSONS }) : t("lesson.about")}</small>
    </button>
  );
}
