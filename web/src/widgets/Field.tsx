/** The control for one value: a number, text, choice, switch or colour. */

import type { InputDef } from "../document/schema";
import { ChoiceField } from "./ChoiceField";
import { NumberField } from "./NumberField";
import { changeWeight } from "./promptKeys";

interface Props {
  label: string;
  input: InputDef;
  value: unknown;
  /** A text field shows its name above itself. */
  captioned?: boolean | undefined;
  /** The height of a multiline text, in pixels. */
  height?: number | undefined;
  onChange(value: unknown): void;
  /** The value is complete: the next change is another undo step. */
  onDone(): void;
}

export function Field({ label, input, value, captioned, height, onChange, onDone }: Props) {
  const choose = (next: unknown) => {
    onChange(next);
    onDone();
  };
  switch (input.widget) {
    case "int":
    case "float":
      return <NumberField label={label} input={input} value={value as number} onChange={onChange} onDone={onDone} />;
    case "color":
      return (
        <label className="field">
          <span className="field-label">{label}</span>
          <input
            type="color"
            value={`#${Number(value).toString(16).padStart(6, "0")}`}
            onChange={(event) => onChange(Number.parseInt(event.target.value.slice(1), 16))}
            onBlur={onDone}
          />
        </label>
      );
    case "switch":
      return (
        <label className="field">
          <span className="field-label">{label}</span>
          <input
            type="checkbox"
            role="switch"
            className="switch"
            checked={value === true}
            onChange={(event) => choose(event.target.checked)}
          />
        </label>
      );
    case "choice":
    case "image":
      return (
        <ChoiceField
          label={label}
          choices={input.choices ?? []}
          value={value}
          open={input.widget === "image"}
          onChange={choose}
        />
      );
    case "multiline":
      return (
        <span className="text-field">
          {captioned && <span className="text-caption">{label}</span>}
          <textarea
            className="text-area"
            style={height === undefined ? undefined : { height }}
            aria-label={label}
            placeholder={input.placeholder ?? (captioned ? undefined : label)}
            spellCheck={false}
            value={String(value ?? "")}
            onChange={(event) => onChange(event.target.value)}
            onFocus={scrollItself}
            onKeyDown={changeWeight}
            onBlur={(event) => {
              event.target.classList.remove("nowheel");
              onDone();
            }}
          />
        </span>
      );
    default:
      return (
        <label className="field">
          <span className="field-label">{label}</span>
          <input
            type="text"
            className="field-text"
            spellCheck={false}
            value={String(value ?? "")}
            onChange={(event) => onChange(event.target.value)}
            onBlur={onDone}
          />
        </label>
      );
  }
}

/** The wheel scrolls a text field that is being edited; over any other field it zooms, as beside it. */
export const scrollItself = (event: React.FocusEvent<HTMLElement>): void => event.target.classList.add("nowheel");
