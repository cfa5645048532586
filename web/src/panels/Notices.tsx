import { useT } from "../i18n";
import { activeTab, useEditor } from "../state/editor";
import { type About, dismiss, type Notice, useNotices } from "../state/notices";
import { useRuns } from "../state/runs";
import { reseeded } from "../state/seeds";
import { runWithNewSeeds } from "../state/submission";
import { Icon } from "../widgets/Icon";

interface Props {
  /** Shows the node that a message is about; undefined: there is no canvas. */
  onReveal?: (place: Required<About>) => void;
}

export function Notices({ onReveal }: Props) {
  const tab = useEditor((state) => state.active);
  const verdicts = useRuns((state) => state.verdicts);
  // A failure in another tab is also shown here until that tab is opened.
  const notices = useNotices((state) => state.notices).filter(
    ({ text, about }) => !about || about.tab === tab || (text === "run.failed" && verdicts[about.tab] === "failed"),
  );
  return (
    <div className="notices">
      <div role="status">
        {notices
          .filter(({ kind }) => kind === "info")
          .map((notice) => (
            <Message key={notice.id} notice={notice} onReveal={onReveal} />
          ))}
      </div>
      <div role="alert">
        {notices
          .filter(({ kind }) => kind === "error")
          .map((notice) => (
            <Message key={notice.id} notice={notice} onReveal={onReveal} />
          ))}
      </div>
    </div>
  );
}

function Message({ notice: { id, kind, text, details, about }, onReveal }: { notice: Notice } & Props) {
  const t = useT();
  const hasSeeds = useEditor((state) => {
    const doc = activeTab(state).history.present;
    return text === "run.unchanged" && reseeded(doc, state.catalogue) !== doc;
  });
  const place = about?.id === undefined ? null : { tab: about.tab, id: about.id };
  return (
    <div className="notice" data-kind={kind}>
      <p>
        {t(text)}
        {details && <small>{details}</small>}
      </p>
      {hasSeeds && (
        <button
          type="button"
          className="notice-act"
          onClick={() => {
            dismiss(id);
            void runWithNewSeeds();
          }}
        >
          {t("run.newSeed")}
        </button>
      )}
      {place && onReveal && (
        <button
          type="button"
          className="notice-act"
          onClick={() => {
            onReveal(place);
            dismiss(id);
          }}
        >
          {t("notice.show")}
        </button>
      )}
      <button type="button" className="notice-close" aria-label={t("app.close")} onClick={() => dismiss(id)}>
        <Icon name="close" />
      </button>
    </div>
  );
}
