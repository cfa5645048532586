/** A tip beside a thing: what it does. */

import { useEffect, useState } from "react";
import type { About } from "../state/help";

const HOVER = 550;
const FOCUS = 900;
const LONG_PRESS = 500;
const SLOP = 8;
const WIDTH = 320;

/** Selectors of things with tips: under the pointer, under a finger that stays, and with the focus. */
export interface TipPlaces {
  parts: string;
  pressed: string;
  focused: string;
  /** null: nothing is known about it. */
  tipOf(element: Element): Tip | null;
}

export interface Tip {
  about: About;
  /** On the screen. */
  box: DOMRect;
}

export function TipBubble({ tip: { about: said, box }, footer }: { tip: Tip; footer?: string }) {
  const below = box.bottom + 8;
  const above = below > window.innerHeight - 150;
  const left = Math.max(8, Math.min(box.left, window.innerWidth - WIDTH - 8));
  return (
    <div
      className="tip"
      id="tip"
      role="tooltip"
      style={{ left, maxWidth: WIDTH, ...(above ? { bottom: window.innerHeight - box.top + 8 } : { top: below }) }}
    >
      <header>
        <strong>{said.title}</strong>
        {said.socket && <small>{said.socket}</small>}
        {said.facts && <small>{said.facts}</small>}
      </header>
      {said.text && <p>{said.text}</p>}
      {footer && <footer>{footer}</footer>}
    </div>
  );
}

/** The tip to show now. It appears after a moment of rest, on a long press, and for the field in focus. */
export function useTip({ parts, pressed, focused: inFocus, tipOf }: TipPlaces): Tip | null {
  const [tip, setTip] = useState<Tip | null>(null);
  useEffect(() => {
    let waiting = 0;
    let shownFor: Element | null = null;
    let titled: [HTMLElement, string] | null = null;
    let from = { x: 0, y: 0 };

    const hide = () => {
      window.clearTimeout(waiting);
      if (titled) titled[0].title = titled[1];
      titled = null;
      if (shownFor) document.activeElement?.removeAttribute("aria-describedby");
      shownFor = null;
      setTip(null);
    };
    const showAt = (part: Element) => {
      const found = tipOf(part);
      if (!found) return;
      hide();
      shownFor = part;
      // The browser's own tip would cover this one.
      if (part instanceof HTMLElement && part.title) {
        titled = [part, part.title];
        part.removeAttribute("title");
      }
      setTip(found);
    };
    const after = (milliseconds: number, part: Element) => {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(() => part.isConnected && showAt(part), milliseconds);
    };
    const over = (event: PointerEvent) => {
      if (event.pointerType === "touch" || event.buttons) return;
      const target = event.target as Element;
      if (target.closest(".tip")) return;
      const part = target.closest(parts);
      if (part === shownFor) return;
      if (shownFor) hide();
      window.clearTimeout(waiting);
      if (part) after(HOVER, part);
    };
    const down = (event: PointerEvent) => {
      hide();
      from = { x: event.clientX, y: event.clientY };
      const field = event.pointerType === "touch" && (event.target as Element).closest(pressed);
      if (field) after(LONG_PRESS, field);
    };
    const moved = (event: PointerEvent) => {
      if (event.pointerType !== "touch") return;
      if (Math.hypot(event.clientX - from.x, event.clientY - from.y) > SLOP) window.clearTimeout(waiting);
    };
    const up = (event: PointerEvent) => event.pointerType === "touch" && window.clearTimeout(waiting);
    const focused = (event: FocusEvent) => {
      const part = (event.target as Element).closest(inFocus);
      if (!part) return;
      window.clearTimeout(waiting);
      waiting = window.setTimeout(() => {
        showAt(part);
        if (shownFor === part) document.activeElement?.setAttribute("aria-describedby", "tip");
      }, FOCUS);
    };
    const handlers: [keyof WindowEventMap, (event: never) => void][] = [
      ["pointerover", over],
      ["pointerdown", down],
      ["pointermove", moved],
      ["pointerup", up],
      ["pointercancel", up],
      ["wheel", hide],
      ["keydown", hide],
      ["blur", hide],
    ];
    for (const [name, handler] of handlers)
      window.addEventListener(name, handler as EventListener, { capture: true, passive: true });
    document.addEventListener("focusin", focused);
    return () => {
      hide();
      for (const [name, handler] of handlers) window.removeEventListener(name, handler as EventListener, true);
      document.removeEventListener("focusin", focused);
    };
  }, [parts, pressed, inFocus, tipOf]);
  return tip;
}
