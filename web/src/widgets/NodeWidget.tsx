/** The field for one input of a node. */

import { memo } from "react";
import type { GraphNode } from "../document/document";
import { mapNode } from "../document/edits";
import type { WidgetRow } from "../document/geometry";
import {
  CONTROLS,
  type Control,
  control,
  primitiveControl,
  withControl,
  withPrimitiveControl,
} from "../document/widget_values";
import { useT } from "../i18n";
import { writeWidget } from "../state/commands";
import { current, edit, flatId, settleStep, useEditor } from "../state/editor";
import { forgive } from "../state/runs";
import { ChoiceField } from "./ChoiceField";
import { NumberField } from "./NumberField";

interface Props {
  node: GraphNode;
  row: WidgetRow;
  /** A text shows its name above itself. */
  captioned?: boolean;
}

export const NodeWidget = memo(function NodeWidget({ node, row, captioned }: Props) {
  const t = useT();
  const id = String(node.id);
  const { input, value } = row;
  const write = (next: unknown) => {
    writeWidget(id, row.key, next);
    forgive(current().id, flatId(current(), id));
  };
  const done = (next: unknown) => {
    write(next);
    settleStep();
  };
  const label = input.label ?? input.name;
  if (row.linked) {
    return (
      <span className="field linked">
        <span className="field-label">{label}</span>
        <span className="field-value">{t("node.linked")}</span>
      </span>
    );
  }
  switch (input.widget) {
    case "int":
    case "float":
      return (
        <span className="field-row">
          <NumberField label={label} input={input} value={value as number} onChange={write} onDone={settleStep} />
          {input.controlled && <ControlChoice node={node} name={input.name} />}
        </span>
      );
    case "color":
      return (
        <label className="field">
          <span className="field-label">{label}</span>
          <input
            type="color"
            value={`#${Number(value).toString(16).padStart(6, "0")}`}
            onChange={(event) => write(Number.parseInt(event.target.value.slice(1), 16))}
            onBlur={settleStep}
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
            onChange={(event) => done(event.target.checked)}
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
          onChange={done}
        />
      );
    case "multiline":
      return (
        <span className="text-field">
          {captioned && <span className="text-caption">{label}</span>}
          <textarea
            className="text-area"
            aria-label={label}
            placeholder={input.placeholder ?? (captioned ? undefined : label)}
            spellCheck={false}
            value={String(value ?? "")}
            onChange={(event) => write(event.target.value)}
            onFocus={scrollItself}
            onBlur={(event) => {
              event.target.classList.remove("nowheel");
              settleStep();
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
            onChange={(event) => write(event.target.value)}
            onBlur={settleStep}
          />
        </label>
      );
  }
});

/** The wheel scrolls a text that is being written in; over any other it zooms, as it does beside it. */
export const scrollItself = (event: React.FocusEvent<HTMLElement>): void => event.target.classList.add("nowheel");

function ControlChoice({ node, name }: { node: GraphNode; name: string }) {
  const t = useT();
  const def = useEditor((state) => state.catalogue.get(node.type));
  const value = def ? control(node, def, name) : primitiveControl(node);
  const set = (next: Control) =>
    edit((level) =>
      mapNode(level, String(node.id), (before) =>
        def ? withControl(before, def, name, next) : withPrimitiveControl(before, next),
      ),
    );
  return (
    <select
      className="control"
      aria-label={t("widget.control")}
      title={t("widget.control")}
      value={value}
      onChange={(event) => set(event.target.value as Control)}
    >
      {CONTROLS.map((mode) => (
        <option key={mode} value={mode}>
          {t(`control.${mode}`)}
        </option>
      ))}
    </select>
  );
}
