/** A number field: drag, type a number or a calculation, or step with the arrow keys; with a bar if its range is small. */

import { useRef, useState } from "react";
import { clamp, shown, stepped, typedNumber } from "../document/numbers";
import type { InputDef } from "../document/schema";
import { useT } from "../i18n";

interface Props {
  label: string;
  input: InputDef;
  value: number | bigint;
  onChange(value: number | bigint): void;
  onDone(): void;
}

export function NumberField({ label, input, value, onChange, onDone }: Props) {
  const t = useT();
  const [typed, setTyped] = useState<string | null>(null);
  const drag = useRef<{ x: number; moved: boolean; from: number | bigint } | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const dragged = useRef(false);
  const dropped = useRef(false);
  const share = fill(input, value);
  const wrong = typed !== null && typed.trim() !== "" && typedNumber(input, typed) === null;

  const finish = (text: string | null) => {
    setTyped(null);
    if (text !== null && text.trim() !== "") {
      const next = typedNumber(input, text);
      if (next !== null && next !== value) onChange(next);
    }
    onDone();
  };

  return (
    <label
      className="field number"
      data-tight={share !== null || undefined}
      style={share === null ? undefined : ({ "--share": share } as React.CSSProperties)}
      onPointerDown={(event) => {
        if (typed !== null || event.button !== 0) return;
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { x: event.clientX, moved: false, from: value };
      }}
      onPointerMove={(event) => {
        const start = drag.current;
        if (!start) return;
        const distance = event.clientX - start.x;
        if (Math.abs(distance) < 3 && !start.moved) return;
        start.moved = true;
        if (share !== null) {
          const box = event.currentTarget.getBoundingClientRect();
          const [min, max] = [Number(input.min), Number(input.max)];
          const along = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
          const next = clamp(input, String(min + along * (max - min)));
          if (next !== null) onChange(next);
        } else onChange(stepped(input, start.from, Math.round(distance / (event.shiftKey ? 20 : 4))));
      }}
      onPointerUp={() => {
        const start = drag.current;
        drag.current = null;
        if (!start) return;
        dragged.current = start.moved;
        if (start.moved) return onDone();
        setTyped(shown(input, value));
        field.current?.focus();
        field.current?.select();
      }}
      onPointerCancel={() => (drag.current = null)}
      onClick={(event) => {
        // The click that ends a drag would focus the field, as a click on its label does.
        if (dragged.current) event.preventDefault();
        dragged.current = false;
      }}
    >
      <span className="field-label">{label}</span>
      <input
        ref={field}
        className="field-number"
        inputMode="decimal"
        role="spinbutton"
        aria-label={label}
        aria-valuenow={Number(value)}
        aria-valuemin={input.min === undefined ? undefined : Number(input.min)}
        aria-valuemax={input.max === undefined ? undefined : Number(input.max)}
        aria-invalid={wrong || undefined}
        title={wrong ? t("widget.notNumber") : undefined}
        value={typed ?? shown(input, value)}
        onFocus={() => setTyped((before) => before ?? shown(input, value))}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={(event) => {
          finish(typed === null || dropped.current ? null : event.target.value);
          dropped.current = false;
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
            if (!wrong) event.currentTarget.blur();
          } else if (event.key === "Escape") {
            dropped.current = true;
            event.currentTarget.blur();
          } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
            event.preventDefault();
            const next = stepped(input, value, (event.key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1));
            onChange(next);
            setTyped(shown(input, next));
          }
        }}
      />
    </label>
  );
}

/** The position within the bounds; null if the range is too large for a useful bar. */
function fill(input: InputDef, value: number | bigint): number | null {
  if (input.min === undefined || input.max === undefined) return null;
  const [min, max] = [Number(input.min), Number(input.max)];
  const step = input.step ?? (input.type === "INT" ? 1 : 0.01);
  if (!(max > min) || (max - min) / step > 1000 || max - min > 200) return null;
  return Math.min(1, Math.max(0, (Number(value) - min) / (max - min)));
}
