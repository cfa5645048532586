/** The form of a workflow: its main fields, and the others under "More". */

import { useMemo, useState } from "react";
import type { AppForm as Form } from "../document/app_fields";
import type { EditContext } from "../document/widget_views";
import { useT } from "../i18n";
import { FieldTips } from "./FieldTips";
import { FormField } from "./FormField";
import { SizeField } from "./SizeField";
import { distinctNames, keyOf, type ShownField, shownFields } from "./shown_fields";

/** Fields with a width and the height that follows it as one row. */
function rows(shown: readonly ShownField[]): (ShownField | [ShownField, ShownField])[] {
  const found: (ShownField | [ShownField, ShownField])[] = [];
  for (let index = 0; index < shown.length; index += 1) {
    const [one, next] = [shown[index] as ShownField, shown[index + 1]];
    if (isWidth(one) && next && isHeightOf(one, next)) {
      found.push([one, next]);
      index += 1;
    } else found.push(one);
  }
  return found;
}

const isWidth = ({ field }: ShownField) => field.kind === "size" && field.label === "width";
const isHeightOf = ({ field }: ShownField, { field: next }: ShownField) =>
  next.kind === "size" && next.label === "height" && next.targets[0]?.[0] === field.targets[0]?.[0];

interface Props {
  form: Form;
  env: EditContext;
}

export function AppForm({ form, env }: Props) {
  const t = useT();
  const [open, setOpen] = useState(false);
  const shown = useMemo(() => shownFields(form, env, t), [form, env, t]);
  const main = shown.filter(({ field }) => field.main);
  const names = useMemo(() => distinctNames(shown.filter(({ field }) => field.main)), [shown]);
  const others = shown.filter(({ field }) => !field.main);
  if (!shown.length) return <p className="hint">{t("appView.noFields")}</p>;
  return (
    <>
      {rows(main).map((row) =>
        Array.isArray(row) ? (
          <SizeField key={row[0].field.node} width={row[0]} height={row[1]} />
        ) : (
          <FormField key={keyOf(row)} shown={row} name={names.get(row) ?? row.name} />
        ),
      )}
      {others.length > 0 && (
        <details className="app-more" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>
            {t("appView.more")} <span className="app-count">{others.length}</span>
          </summary>
          {open &&
            byNode(others).map(([title, fields]) => (
              <fieldset className="app-node" key={fields[0] && keyOf(fields[0])}>
                <legend>{title}</legend>
                {fields.map((each) => (
                  <FormField key={keyOf(each)} shown={each} name={each.name} />
                ))}
              </fieldset>
            ))}
        </details>
      )}
      <FieldTips shown={shown} names={names} />
    </>
  );
}

/** The fields by their node, in order. */
function byNode(shown: readonly ShownField[]): [title: string, fields: ShownField[]][] {
  const groups = new Map<string, ShownField[]>();
  for (const each of shown) {
    const group = groups.get(each.field.node);
    if (group) group.push(each);
    else groups.set(each.field.node, [each]);
  }
  return [...groups.values()].map((fields) => [fields[0]?.title ?? "", fields]);
}
