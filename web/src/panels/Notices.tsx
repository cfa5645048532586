import { reveal } from "../canvas/reveal";
import { useT } from "../i18n";
import { dismiss, type Notice, useNotices } from "../state/notices";
import { Icon } from "../widgets/Icon";

export function Notices() {
  const notices = useNotices((state) => state.notices);
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

function Message({ notice: { id, kind, text, details, place } }: { notice: Notice }) {
  const t = useT();
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
