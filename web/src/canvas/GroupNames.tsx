/** The text field for renaming a group. */

import { changeGroup } from "../document/edits";
import { edit, levelOf, useTab } from "../state/editor";
import { show, useUi } from "../state/ui";
import { stage } from "./stage";

export function GroupNames() {
  const renaming = useUi((state) => state.renaming);
  const level = useTab(levelOf);
  const group = renaming?.kind === "group" ? level.groups?.[renaming.index] : undefined;
  if (!group || renaming?.kind !== "group" || !stage) return null;
  const { x, y, zoom } = stage.view;
  const index = renaming.index;
  const finish = (title: string | null) => {
    show({ renaming: null });
    if (title !== null && title !== group.title) edit((before) => changeGroup(before, index, { title }));
  };
  return (
    <input
      className="group-title-field"
      style={{ left: group.bounding[0] * zoom + x + 6, top: group.bounding[1] * zoom + y + 2 }}
      defaultValue={group.title}
      autoFocus
      onFocus={(event) => event.target.select()}
      onBlur={(event) => finish(event.target.value.trim())}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") event.currentTarget.blur();
        else if (event.key === "Escape") finish(null);
      }}
    />
  );
}
