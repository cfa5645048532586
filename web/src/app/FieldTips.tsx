/** Tips of a form: what the field under the pointer or a resting finger does. */

import { useMemo } from "react";
import { useT } from "../i18n";
import { aboutField } from "../state/help";
import { useUi } from "../state/ui";
import { type Tip, TipBubble, type TipPlaces, useTip } from "../widgets/TipBubble";
import { keyOf, type ShownField } from "./shown_fields";

const PART = ".app-fields [data-tip]";

export function FieldTips({ shown, names }: { shown: readonly ShownField[]; names: ReadonlyMap<ShownField, string> }) {
  const t = useT();
  const busy = useUi(({ viewer, mask, sweep }) => Boolean(viewer || mask || sweep));
  const places = useMemo((): TipPlaces => {
    const tipOf = (element: Element): Tip | null => {
      const part = element.closest<HTMLElement>(PART);
      const field = shown.find((each) => keyOf(each) === part?.dataset.tip);
      if (!part || !field) return null;
      const { node, view } = field.found;
      const note =
        field.field.kind === "count"
          ? t("appView.countHelp")
          : field.field.kind === "seed"
            ? t("appView.seedHelp")
            : "";
      const about = aboutField(node, view.input, names.get(field) ?? field.name, note);
      return about && { about, box: part.getBoundingClientRect() };
    };
    return { parts: PART, pressed: PART, focused: ":not(*)", tipOf };
  }, [shown, names, t]);
  const tip = useTip(places);
  return tip && !busy ? <TipBubble tip={tip} /> : null;
}
