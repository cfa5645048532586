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
import { clearErrors } from "../state/runs";
import { Field } from "./Field";

interface Props {
  node: GraphNode;
  row: WidgetRow;
  /** A text field shows its name above itself. */
  captioned?: boolean;
}

export const NodeWidget = memo(function NodeWidget({ node, row, captioned }: Props) {
  const t = useT();
  const id = String(node.id);
  const { input, value } = row;
  const write = (next: unknown) => {
    writeWidget(id, row.key, next);
    clearErrors(current().id, flatId(current(), id));
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
  const field = (
    <Field label={label} input={input} value={value} captioned={captioned} onChange={write} onDone={settleStep} />
  );
  if (input.widget !== "int" && input.widget !== "float") return field;
  return (
    <span className="field-row">
      {field}
      {input.controlled && <ControlChoice node={node} name={input.name} />}
    </span>
  );
});

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
