/** Width and height side by side, with a button that swaps them. */

import { useT } from "../i18n";
import { swapFields, writeField } from "../state/app";
import { settleStep } from "../state/editor";
import { Field } from "../widgets/Field";
import { Icon } from "../widgets/Icon";
import { keyOf, type ShownField } from "./shown_fields";
import { Trouble } from "./Trouble";

export function SizeField({ width, height }: { width: ShownField; height: ShownField }) {
  const t = useT();
  const side = (shown: ShownField) => (
    <div className="app-side" data-tip={keyOf(shown)}>
      <Field
        label={shown.name}
        input={shown.found.view.input}
        value={shown.found.view.value}
        onChange={(next) => writeField(shown.field, shown.found.place, next)}
        onDone={settleStep}
      />
    </div>
  );
  return (
    <div className="app-field" data-kind="size">
      <div className="app-control">
        {side(width)}
        <button
          type="button"
          className="stepper"
          aria-label={t("appView.swap")}
          title={t("appView.swap")}
          onClick={() => swapFields(width.found, height.found)}
        >
          <Icon name="wide" />
        </button>
        {side(height)}
      </div>
      <Trouble shown={width} />
      <Trouble shown={height} />
    </div>
  );
}
