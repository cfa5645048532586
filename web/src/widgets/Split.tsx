/** The divider between two pictures that lie over one another; drag it or move it with the arrow keys. */

import { useT } from "../i18n";

interface Props {
  /** Percentage of the width that the left picture has. */
  share: number;
  stage: React.RefObject<HTMLElement | null>;
  onChange(share: number): void;
}

/** The percentage of an element's width at a position on the screen. */
export function shareAt(x: number, element: HTMLElement): number {
  const box = element.getBoundingClientRect();
  return within((100 * (x - box.left)) / box.width);
}

const within = (share: number): number => Math.min(100, Math.max(0, share));

export function Split({ share, stage, onChange }: Props) {
  const t = useT();
  return (
    <div
      className="split nodrag"
      role="slider"
      tabIndex={0}
      aria-label={t("gallery.compare")}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share)}
      style={{ left: `${share}%` }}
      onPointerDown={(event) => {
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (stage.current && event.currentTarget.hasPointerCapture(event.pointerId))
          onChange(shareAt(event.clientX, stage.current));
      }}
      onKeyDown={(event) => {
        const by = event.shiftKey ? 10 : 2;
        const to = { ArrowLeft: share - by, ArrowRight: share + by, Home: 0, End: 100 }[event.key];
        if (to === undefined) return;
        event.stopPropagation();
        event.preventDefault();
        onChange(within(to));
      }}
    />
  );
}
