/** Two pictures over one another with a slider between them: the result of a node that compares. */

import { useRef, useState } from "react";
import { useT } from "../i18n";
import { type FileRef, viewUrl } from "../server/client";
import { show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { Split, shareAt } from "../widgets/Split";

interface Props {
  /** The pictures to the left of the slider, and those to its right. Of batches, one pair is shown at a time. */
  left: readonly FileRef[];
  right: readonly FileRef[];
}

export function ComparedPictures({ left, right }: Props) {
  const t = useT();
  const area = useRef<HTMLDivElement>(null);
  const [share, setShare] = useState(50);
  const [turn, setTurn] = useState(0);
  const pairs = Math.max(left.length, right.length);
  const at = turn % pairs;
  // A single picture is compared with each one of a batch.
  const [first, second] = [left[at] ?? left.at(-1), right[at] ?? right.at(-1)];
  const all = [...left, ...right];
  const single = first ?? second;
  const drag = (event: React.PointerEvent<HTMLDivElement>) => setShare(shareAt(event.clientX, event.currentTarget));
  return (
    <div
      className="compared nodrag"
      ref={area}
      onPointerDown={(event) => {
        if ((event.target as Element).closest("button") || event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        drag(event);
      }}
      onPointerMove={(event) => event.currentTarget.hasPointerCapture(event.pointerId) && drag(event)}
    >
      {first && second ? (
        <>
          <img src={viewUrl(second)} alt={t("node.imageB")} draggable={false} />
          <div className="compared-left" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
            <img src={viewUrl(first)} alt={t("node.imageA")} draggable={false} />
          </div>
          <span className="viewer-label" data-side="left" aria-hidden="true">
            A
          </span>
          <span className="viewer-label" data-side="right" aria-hidden="true">
            B
          </span>
          <Split share={share} stage={area} onChange={setShare} />
        </>
      ) : (
        single && <img src={viewUrl(single)} alt={t(first ? "node.imageA" : "node.imageB")} draggable={false} />
      )}
      <div className="compared-tools">
        {pairs > 1 && (
          <button
            type="button"
            className="button small"
            title={t("viewer.next")}
            aria-label={`${t("viewer.next")} (${at + 1} / ${pairs})`}
            onClick={() => setTurn(at + 1)}
          >
            {at + 1} / {pairs}
          </button>
        )}
        <button
          type="button"
          className="button small"
          title={t("node.enlarge")}
          aria-label={t("node.enlarge")}
          onClick={() => show({ viewer: { pictures: all, index: single ? all.indexOf(single) : 0 } })}
        >
          <Icon name="plusMagnifier" />
        </button>
      </div>
    </div>
  );
}
