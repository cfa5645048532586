import { type ReactNode, useEffect, useRef } from "react";
import { useT } from "../i18n";
import { Icon } from "../widgets/Icon";

export function Dialog({ title, onClose, children, wide }: { title: string; onClose(): void; children: ReactNode; wide?: boolean }) {
  const t = useT();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => void dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="dialog" data-wide={wide || undefined} aria-label={title} onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <div className="dialog-box">
        <header>
          <h2>{title}</h2>
          <button type="button" className="icon-button" aria-label={t("app.close")} onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
