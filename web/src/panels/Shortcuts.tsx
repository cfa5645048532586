/** All shortcuts, on `?`. */

import { type Key, useT } from "../i18n";
import { show } from "../state/ui";
import { Dialog } from "./Dialog";

const LIST: [string, Key][] = [
  ["Ctrl Enter", "keys.run"],
  ["Ctrl Shift Enter", "keys.runFront"],
  ["Ctrl Alt Enter", "keys.stop"],
  ["/", "keys.search"],
  ["Ctrl Z", "keys.undo"],
  ["Ctrl Shift Z", "keys.redo"],
  ["Ctrl C · V", "keys.copyPaste"],
  ["Ctrl D", "keys.duplicate"],
  ["Del", "keys.delete"],
  ["Ctrl M", "keys.mute"],
  ["Ctrl B", "keys.bypass"],
  ["Alt C", "keys.collapse"],
  ["Ctrl G", "keys.group"],
  ["Ctrl A", "keys.selectAll"],
  ["← ↑ → ↓", "keys.move"],
  ["Shift ⤡", "keys.boxSelect"],
  [".", "keys.fit"],
  ["L", "keys.layout"],
  ["Ctrl S", "keys.save"],
  ["Ctrl O", "keys.open"],
  ["W", "keys.workflows"],
  ["G", "keys.gallery"],
  ["Q", "keys.queue"],
  ["?", "keys.shortcuts"],
];

export default function Shortcuts() {
  const t = useT();
  return (
    <Dialog title={t("app.shortcuts")} onClose={() => show({ shortcuts: false })}>
      <dl className="shortcuts">
        {LIST.map(([keys, name]) => (
          <div key={name}>
            <dt>{t(name)}</dt>
            <dd>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
