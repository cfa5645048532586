/** The list of shortcuts, opened with `?`. */

import { type Key, useT } from "../i18n";
import { show } from "../state/ui";
import { Dialog } from "./Dialog";

const LISTS: [Key, [string, Key][]][] = [
  [
    "keys.workflow",
    [
      ["Ctrl Enter", "keys.run"],
      ["Ctrl Shift Enter", "keys.runFront"],
      ["Ctrl Alt Enter", "keys.stop"],
      ["Ctrl S", "keys.save"],
      ["Ctrl O", "keys.open"],
      ["W", "keys.workflows"],
      ["M", "models.title"],
      ["G", "keys.gallery"],
      ["Q", "keys.queue"],
      ["A", "keys.app"],
      ["?", "keys.shortcuts"],
      ["F1", "keys.help"],
    ],
  ],
  [
    "keys.editing",
    [
      ["/", "keys.search"],
      ["Ctrl Z", "keys.undo"],
      ["Ctrl Shift Z", "keys.redo"],
      ["Ctrl C · X · V", "keys.copyPaste"],
      ["Ctrl D", "keys.duplicate"],
      ["Del", "keys.delete"],
      ["F2", "keys.rename"],
      ["Ctrl M", "keys.mute"],
      ["Ctrl B", "keys.bypass"],
      ["Alt C", "keys.collapse"],
      ["Ctrl G", "keys.group"],
      ["Shift G", "keys.nextGroup"],
      ["← ↑ → ↓", "keys.move"],
      ["Shift ← ↑ → ↓", "keys.moveFar"],
      ["Alt ← ↑ → ↓", "keys.resize"],
      ["Ctrl ↑ ↓", "keys.weight"],
      ["L", "keys.layout"],
    ],
  ],
  [
    "keys.canvas",
    [
      ["Ctrl ← ↑ → ↓", "keys.walk"],
      ["[ · ]", "keys.follow"],
      ["Enter", "keys.enter"],
      ["Esc", "keys.leave"],
      ["Shift F10", "keys.menu"],
      ["Ctrl A", "keys.selectAll"],
      ["Shift ⤡", "keys.boxSelect"],
      ["+ · -", "keys.zoom"],
      [".", "keys.fit"],
    ],
  ],
  [
    "keys.onSocket",
    [
      ["Enter", "keys.link"],
      ["Del", "keys.unlink"],
      ["Shift ⤡", "keys.moveLinks"],
    ],
  ],
];

export default function Shortcuts() {
  const t = useT();
  return (
    <Dialog title={t("app.shortcuts")} onClose={() => show({ shortcuts: false })} wide>
      <div className="shortcuts">
        {LISTS.map(([title, list]) => (
          <section key={title}>
            <h3>{t(title)}</h3>
            <dl>
              {list.map(([keys, name]) => (
                <div key={name}>
                  <dt>{t(name)}</dt>
                  <dd>
                    {keys
                      .split(" ")
                      .map((key, index) => (key === "·" ? <i key={index}>·</i> : <kbd key={index}>{key}</kbd>))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
