/** Chooses and orders the fields and outputs of an app. */

import { type AppForm, opensAsApp, withOpensAsApp, withoutChoice, withWholeChoice } from "../document/app_fields";
import type { EditContext } from "../document/widget_views";
import { useT } from "../i18n";
import { chooseFields, chooseOutputs } from "../state/app";
import { editDocument } from "../state/editor";
import { ChoiceField } from "../widgets/ChoiceField";
import { Icon, type IconName } from "../widgets/Icon";
import { distinctNames, keyOf, type ShownField, shownFields } from "./shown_fields";

export function Arrange({ form, env }: { form: AppForm; env: EditContext }) {
  const t = useT();
  const shown = shownFields(form, env, t);
  const main = shown.filter(({ field }) => field.main);
  const names = distinctNames(main);
  const others = new Map(
    shown.filter(({ field }) => !field.main).map((each) => [`${each.title}: ${each.name} (${each.field.node})`, each]),
  );
  const choose = (fields: readonly ShownField[]) =>
    chooseFields(
      form,
      fields.map(({ field }) => field),
    );
  const moved = (index: number, by: -1 | 1) => {
    const after = [...main];
    const [taken] = after.splice(index, 1);
    after.splice(index + by, 0, taken as ShownField);
    choose(after);
  };
  const outputs = form.outputs.filter((output) => output.main).map((output) => output.node);
  const tool = (icon: IconName, label: string, disabled: boolean, act: () => void) => (
    <button type="button" className="stepper" aria-label={label} title={label} disabled={disabled} onClick={act}>
      <Icon name={icon} />
    </button>
  );
  return (
    <div className="app-arrange">
      <ol>
        {main.map((each, index) => {
          const name = names.get(each) ?? each.name;
          return (
            <li key={keyOf(each)}>
              <span>{name}</span>
              {tool("up", t("appView.moveUp", { name }), index === 0, () => moved(index, -1))}
              {tool("down", t("appView.moveDown", { name }), index === main.length - 1, () => moved(index, 1))}
              {tool("close", t("appView.remove", { name }), main.length === 1, () =>
                choose(main.filter((other) => other !== each)),
              )}
            </li>
          );
        })}
      </ol>
      {others.size > 0 && (
        <div className="app-control">
          <ChoiceField
            label={t("appView.add")}
            choices={[...others.keys()]}
            value=""
            open
            onChange={(chosen) => {
              const added = others.get(String(chosen));
              if (added) choose([...main, added]);
            }}
          />
        </div>
      )}
      <fieldset className="app-node">
        <legend>{t("appView.outputs")}</legend>
        {form.outputs.map((output) => (
          <label className="field" key={output.node}>
            <span className="field-label">
              {output.title} ({output.node})
            </span>
            <input
              type="checkbox"
              role="switch"
              className="switch"
              checked={output.main}
              disabled={output.main && outputs.length === 1}
              onChange={(event) =>
                chooseOutputs(
                  form,
                  event.target.checked ? [...outputs, output.node] : outputs.filter((node) => node !== output.node),
                )
              }
            />
          </label>
        ))}
      </fieldset>
      <label className="field">
        <span className="field-label">{t("appView.opens")}</span>
        <input
          type="checkbox"
          role="switch"
          className="switch"
          checked={opensAsApp(env.doc)}
          onChange={(event) =>
            editDocument((doc) =>
              event.target.checked ? withOpensAsApp(withWholeChoice(doc, form), true) : withOpensAsApp(doc, false),
            )
          }
        />
      </label>
      {form.chosen && (
        <button type="button" className="button" onClick={() => editDocument(withoutChoice)}>
          {t("appView.reset")}
        </button>
      )}
    </div>
  );
}
