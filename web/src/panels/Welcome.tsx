/** For a newcomer: the examples, beneath the workflow that is there already. Put away once and for all. */

import { useT } from "../i18n";
import { picturesOf } from "../server/client";
import { useRuns } from "../state/runs";
import { setting } from "../state/settings";
import { Icon } from "../widgets/Icon";
import { EXAMPLES, openExample } from "./examples";

export default function Welcome() {
  const t = useT();
  const made = useRuns((state) =>
    Object.values(state.nodes).some((runs) => Object.values(runs).some((run) => picturesOf(run.output).length > 0)),
  );
  const away = () => setting("welcome", false);
  return (
    <section className="welcome" aria-label={t("welcome.title")}>
      <header>
        <strong>{t(made ? "welcome.made" : "welcome.title")}</strong>
        <span>{t(made ? "welcome.next" : "welcome.text")}</span>
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
