/** The dice and the lock of a seed. */

import { seedControl } from "../document/seed_control";
import { useT } from "../i18n";
import { setSeedControl, throwDice } from "../state/app";
import { editContext } from "../state/editor";
import { Icon } from "../widgets/Icon";
import type { ShownField } from "./shown_fields";

export function SeedTools({ shown: { field, found } }: { shown: ShownField }) {
  const t = useT();
  const control = seedControl(found, editContext());
  const locked = control === "fixed";
  const label = locked ? t("appView.unlock") : t("appView.lock");
  return (
    <>
      <button
        type="button"
        className="stepper"
        aria-label={t("appView.dice")}
        title={t("appView.dice")}
        onClick={() => throwDice(field, found)}
      >
        <Icon name="dice" />
      </button>
      {control !== null && (
        <button
          type="button"
          className="stepper"
          aria-label={t("appView.lock")}
          aria-pressed={locked}
          title={label}
          onClick={() => setSeedControl(found, locked ? "randomize" : "fixed")}
        >
          <Icon name="lock" />
        </button>
      )}
    </>
  );
}
