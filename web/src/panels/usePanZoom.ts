/** Moves and zooms a picture: wheel, drag, two fingers. */

import { type PointerEvent, type RefObject, useEffect, useRef, useState } from "react";

export interface Place {
  /** 1: as large as fits. */
  zoom: number;
  /** Offset from the centre, in CSS pixels. */
  x: number;
  y: number;
}

export const WHOLE: Place = { zoom: 1, x: 0, y: 0 };
const [LEAST, MOST] = [0.02, 64];

export function usePanZoom(stage: RefObject<HTMLElement | null>) {
  const [place, setPlace] = useState(WHOLE);
  const pointers = useRef(new Map<number, { x: number; y: number }>());

  /** Zoom around a point of the window (default: its centre). */
  const zoomBy = (factor: number, at?: { x: number; y: number }) =>
    setPlace((before) => {
      const zoom = Math.min(MOST, Math.max(LEAST, before.zoom * factor));
      const box = stage.current?.getBoundingClientRect();
      const [x, y] = at && box ? [at.x - box.left - box.width / 2, at.y - box.top - box.height / 2] : [0, 0];
      const ratio = zoom / before.zoom;
      return { zoom, x: x - (x - before.x) * ratio, y: y - (y - before.y) * ratio };
    });
  const panBy = (x: number, y: number) => setPlace((before) => ({ ...before, x: before.x + x, y: before.y + y }));

  useEffect(() => {
    const element = stage.current;
    // React's wheel listener is passive, so the browser would zoom the whole page.
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
      zoomBy(Math.exp(-pixels / (event.ctrlKey ? 100 : 400)), { x: event.clientX, y: event.clientY });
    };
    element?.addEventListener("wheel", wheel, { passive: false });
    return () => element?.removeEventListener("wheel", wheel);
  });

  const handlers = {
    onPointerDown(event: PointerEvent) {
      if (event.button > 1) return;
      pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
      event.currentTarget.setPointerCapture(event.pointerId);
    },
    onPointerMove(event: PointerEvent) {
      const before = pointers.current.get(event.pointerId);
      if (!before) return;
      const now = { x: event.clientX, y: event.clientY };
      const other = [...pointers.current].find(([id]) => id !== event.pointerId)?.[1];
      pointers.current.set(event.pointerId, now);
      const share = pointers.current.size;
      panBy((now.x - before.x) / share, (now.y - before.y) / share);
      if (!other) return;
      const distance = (point: { x: number; y: number }) =>
        Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      zoomBy(distance(now) / distance(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    },
    onPointerUp: (event: PointerEvent) => void pointers.current.delete(event.pointerId),
    onPointerCancel: (event: PointerEvent) => void pointers.current.delete(event.pointerId),
  };
  return { place, handlers, zoomBy, panBy, reset: () => setPlace(WHOLE) };
}
