import { reveal } from "../canvas/reveal";
import { useT } from "../i18n";
import { useEditor } from "../state/editor";
import { dismiss, type Notice, useNotices } from "../state/notices";
import { useRuns } from "../state/runs";
import { Icon } from "../widgets/Icon";

export function Notices() {
  const tab = useEditor((state) => state.active);
  const verdicts = useRuns((state) => state.verdicts);
  // A failure in another tab is shown here too, until that tab is looked at.
  const notices = useNotices((state) => state.notices).filter(
    ({ text, about }) => !about || about.tab === tab || (text === "run.failed" && verdicts[about.tab] === "failed"),
  );
  return (
    <div className="notices">
      <div role="status">
        {notices
          .filter(({ kind }) => kind === "info")
          .map((notice) => (
            <Message key={notice.id} notice={notice} />
          ))}
      </div>
      <div role="alert">
        {notices
          .filter(({ kind }) => kind === "error")
          .map((notice) => (
            <Message key={notice.id} notice={notice} />
          ))}
      </div>
    </div>
  );
}

function Message({ notice: { id, kind, text, details, about } }: { notice: Notice }) {
  const t = useT();
  const place = about?.id === undefined ? null : { tab: about.tab, id: about.id };
  return (
    <div className="notice" data-kind={kind}>
      <p>
        {t(text)}
        {details && <small>{details}</small>}
      </p>
      {place && (
        <button
          type="button"
          className="notice-act"
          onClick={() => {
            reveal(place);
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
