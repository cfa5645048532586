/** Tips on the canvas: what the field, socket or node under the pointer does. */

import { socketUnder } from "../canvas/useGestures";
import { useT } from "../i18n";
import { about, type Part } from "../state/help";
import { useUi } from "../state/ui";
import { type Tip, TipBubble, type TipPlaces, useTip } from "../widgets/TipBubble";

const CANVAS: TipPlaces = {
  parts: ".widget, .socket, .slot-label, .node-header",
  // The menu that a long press opens elsewhere has the text, too; fields have their own long press.
  pressed: ".widget",
  focused: ".canvas[data-led='keys'] :is(.widget, .socket)",
  tipOf,
};

export function Tips() {
  const t = useT();
  const busy = useUi(({ connecting, menu, palette, viewer, mask, shortcuts, settings, fields }) =>
    Boolean(connecting || menu || palette || viewer || mask || shortcuts || settings || fields !== null),
  );
  const tip = useTip(CANVAS);
  return tip && !busy ? <TipBubble tip={tip} footer={t("help.more")} /> : null;
}

/** The tip for an element; null: it is no part of a node, or nothing is known about it. */
function tipOf(element: Element): Tip | null {
  const part = element.closest<HTMLElement>(CANVAS.parts);
  const node = part?.closest<HTMLElement>(".canvas .react-flow__node")?.dataset.id;
  if (!part || node === undefined) return null;
  const said = about(node, partOf(part));
  return said && (said.text || said.socket) ? { about: said, box: part.getBoundingClientRect() } : null;
}

export function partOf(element: HTMLElement): Part {
  const { widget } = element.closest<HTMLElement>(".widget")?.dataset ?? {};
  if (widget !== undefined) return { widget };
  const socket = element.closest<HTMLElement>(".slot-label")?.previousElementSibling ?? element.closest(".socket");
  if (!(socket instanceof HTMLElement)) return {};
  const field = socket.closest(".widget-socket")?.nextElementSibling;
  if (field instanceof HTMLElement && field.dataset.widget !== undefined) return { widget: field.dataset.widget };
  const found = socketUnder(socket);
  if (!found) return {};
  return typeof found.slot === "number" ? { side: found.side, slot: found.slot } : { widget: found.slot };
}
