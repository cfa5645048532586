import { useT } from "../i18n";
import { dismiss, useNotices } from "../state/notices";

export function Notices() {
  const t = useT();
  const notices = useNotices((state) => state.notices);
  return (
    <div className="notices" role="status" aria-live="polite">
      {notices.map((notice) => (
        <button type="button" key={notice.id} className="notice" data-kind={notice.kind} onClick={() => dismiss(notice.id)}>
          <span>{t(notice.text)}</span>
          {notice.details && <small>{notice.details}</small>}
        </button>
      ))}
    </div>
  );
}
