/** A field with choices, searched by typing. */

import { useEffect, useId, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { useT } from "../i18n";

interface Props {
  label: string;
  choices: readonly unknown[];
  value: unknown;
  /** Values that are not listed are valid, too: files in subfolders. */
  open?: boolean;
  onChange(value: unknown): void;
}

export function ChoiceField({ label, choices, value, open: others, onChange }: Props) {
  const t = useT();
  const [open, setOpen] = useState<DOMRect | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const known = others || choices.some((choice) => choice === value);
  return (
    <>
      <button
        ref={button}
        type="button"
        className="field choice"
        data-unknown={!known || undefined}
        aria-haspopup="listbox"
        aria-expanded={open !== null}
        onClick={() => setOpen((button.current as HTMLButtonElement).getBoundingClientRect())}
      >
        <span className="field-label">{label}</span>
        <span className="field-value">
          {value === undefined || value === null || value === "" ? t("widget.none") : String(value)}
        </span>
      </button>
      {open && (
        <ChoiceList
          anchor={open}
          label={label}
          choices={choices}
          value={value}
          onChoose={(choice) => {
            setOpen(null);
            if (choice !== value) onChange(choice);
            button.current?.focus();
          }}
          onClose={() => {
            setOpen(null);
            button.current?.focus();
          }}
        />
      )}
    </>
  );
}

const ROW = 30;

function ChoiceList({
  anchor,
  label,
  choices,
  value,
  onChoose,
  onClose,
}: {
  anchor: DOMRect;
  label: string;
  choices: readonly unknown[];
  value: unknown;
  onChoose(choice: unknown): void;
  onClose(): void;
}) {
  const t = useT();
  const [text, setText] = useState("");
  const found = choices.filter((choice) => String(choice).toLowerCase().includes(text.toLowerCase()));
  const [at, setAt] = useState(Math.max(0, choices.indexOf(value)));
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const width = Math.max(anchor.width, 220);
  const height = Math.min(340, found.length * ROW + 58);
  const below = window.innerHeight - anchor.bottom > height + 12 || anchor.top < height;
  const top = Math.max(
    8,
    below ? Math.min(anchor.bottom + 4, window.innerHeight - height - 8) : anchor.top - height - 4,
  );
  const left = Math.max(8, Math.min(anchor.left, window.innerWidth - width - 8));
  useEffect(() => void list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at]);
  return createPortal(
    <>
      <div className="veil" onPointerDown={onClose} />
      <div
        className="popover"
        style={{ left, top, width, maxHeight: 340 }}
        onWheel={(event) => event.stopPropagation()}
      >
        <input
          className="popover-search"
          placeholder={t("widget.search")}
          aria-label={`${label}: ${t("widget.search")}`}
          autoFocus
          role="combobox"
          aria-expanded
          aria-autocomplete="list"
          aria-controls={id}
          aria-activedescendant={found.length ? `${id}-${at}` : undefined}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Escape") onClose();
            else if (event.key === "Enter" && found.length) onChoose(found[at]);
            else if (event.key === "ArrowDown") setAt(Math.min(found.length - 1, at + 1));
            else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
            else return;
            event.preventDefault();
          }}
        />
        <div className="popover-list" id={id} role="listbox" aria-label={label} ref={list}>
          {found.map((choice, index) => (
            <div
              key={String(choice)}
              id={`${id}-${index}`}
              role="option"
              className="option"
              aria-selected={index === at}
              data-current={choice === value || undefined}
              onPointerMove={() => setAt(index)}
              onClick={() => onChoose(choice)}
            >
              {String(choice)}
            </div>
          ))}
          {!found.length && <p className="hint">{t("widget.nothing")}</p>}
        </div>
      </div>
    </>,
    document.body,
  );
}
