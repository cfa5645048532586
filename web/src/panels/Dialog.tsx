import { type ReactNode, useLayoutEffect, useRef } from "react";
import { useT } from "../i18n";
import { Icon } from "../widgets/Icon";

interface Props {
  title: string;
  onClose(): void;
  children: ReactNode;
  wide?: boolean;
  narrow?: boolean;
}

export function Dialog({ title, onClose, children, wide, narrow }: Props) {
  const t = useT();
  const dialog = useRef<HTMLDialogElement>(null);
  // Focus before the next key event, so that fast typing goes into the dialog.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // React focuses before the dialog is open, which has no effect.
    const first = ["input[type=text]", "[data-first-focus]"].map((name) => element?.querySelector<HTMLElement>(name));
    first.find(Boolean)?.focus();
  }, []);
  const pressed = useRef(false);
  return (
    <dialog
      ref={dialog}
      className="dialog"
      data-wide={wide || undefined}
      data-narrow={narrow || undefined}
      aria-label={title}
      onClose={onClose}
      // The browser reports "close" a moment after it hides the dialog; a key pressed in between would be lost.
      onCancel={(event) => {
        if (event.target !== dialog.current) return;
        event.preventDefault();
        dialog.current.close();
        onClose();
      }}
      onPointerDown={(event) => (pressed.current = event.target === dialog.current)}
      onClick={(event) => event.target === dialog.current && pressed.current && onClose()}
    >
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
