/** One field of the form: its name, its control, and what the last run said about it. */

import { stepped } from "../document/numbers";
import { useT } from "../i18n";
import { writeField } from "../state/app";
import { settleStep } from "../state/editor";
import { Field } from "../widgets/Field";
import { PictureField } from "./PictureField";
import { SeedTools } from "./SeedTools";
import { keyOf, type ShownField } from "./shown_fields";
import { Trouble } from "./Trouble";

interface Props {
  shown: ShownField;
  name: string;
}

export function FormField({ shown, name }: Props) {
  const { field, found } = shown;
  const { input, value } = found.view;
  const write = (next: unknown) => writeField(field, found.place, next);
  const isNumber = input.widget === "int" || input.widget === "float";
  return (
    <div className="app-field" data-kind={field.kind} data-widget={input.widget ?? undefined} data-tip={keyOf(shown)}>
      {input.widget === "image" ? (
        <PictureField shown={shown} name={name} />
      ) : (
        <div className="app-control">
          <Field
            label={name}
            input={input}
            value={value}
            captioned
            height={field.height}
            onChange={write}
            onDone={settleStep}
          />
          {field.kind === "seed" ? <SeedTools shown={shown} /> : isNumber && <Steppers shown={shown} name={name} />}
        </div>
      )}
      <Trouble shown={shown} />
    </div>
  );
}

/** Buttons that change a number by its step: a thumb hits them more easily than a digit. */
function Steppers({ shown: { field, found }, name }: Props) {
  const t = useT();
  const { input, value } = found.view;
  const step = (by: number) => {
    writeField(field, found.place, stepped(input, value as number, by));
    settleStep();
  };
  return (
    <>
      <button type="button" className="stepper" aria-label={t("appView.less", { name })} onClick={() => step(-1)}>
        −
      </button>
      <button type="button" className="stepper" aria-label={t("appView.greater", { name })} onClick={() => step(1)}>
        +
      </button>
    </>
  );
}
