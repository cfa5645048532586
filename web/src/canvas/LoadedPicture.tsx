/** The picture that a node loads; replace it with the button, by drop or by paste. */

import { useRef, useState } from "react";
import type { GraphNode } from "../document/document";
import type { WidgetRow } from "../document/geometry";
import { useT } from "../i18n";
import { annotated, thumbnailUrl, viewUrl } from "../server/client";
import { current, useTab } from "../state/editor";
import { uploadKey, uploadTo, useUploads } from "../state/files";
import { show } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { UnderMask } from "../widgets/UnderMask";

/** A picture dropped anywhere on the node is loaded into it. */
export const takingPictures = (
  node: string,
  key: string,
): Pick<React.HTMLAttributes<HTMLElement>, "onDragOver" | "onDrop"> => ({
  onDragOver: (event) => event.dataTransfer.types.includes("Files") && event.preventDefault(),
  onDrop(event) {
    const file = [...event.dataTransfer.files].find((entry) => entry.type.startsWith("image/"));
    if (!file) return; // not a picture (a workflow, for example): let the page handle it
    event.preventDefault();
    event.stopPropagation();
    void uploadTo(node, key, file);
  },
});

export function LoadedPicture({ node, row }: { node: GraphNode; row: WidgetRow }) {
  const t = useT();
  const picker = useRef<HTMLInputElement>(null);
  const id = String(node.id);
  const tab = useTab((shown) => shown.id);
  const uploading = useUploads(({ on }) => on.includes(uploadKey(tab, id)));
  const take = (file: File | undefined) => file && void uploadTo(id, row.key, file);
  const named = typeof row.value === "string" && row.value ? row.value : null;
  const file = named === null ? null : annotated(named, row.input.folder);
  // A workflow from another server names pictures that do not exist here.
  const [missing, setMissing] = useState<string | null>(null);
  const gone = named !== null && missing === named;
  return (
    <div className="loaded-picture">
      {file && !gone && <UnderMask thumbnail={thumbnailUrl(file)} />}
      {file && !gone && (
        <img src={viewUrl(file)} alt={file.filename} draggable={false} onError={() => setMissing(named)} />
      )}
      {file && gone && <span className="node-media-hint">{t("node.noFile", { name: file.filename })}</span>}
      {!file && <span className="node-media-hint">{t("node.drop")}</span>}
      {uploading && (
        <span className="uploading" role="status">
          {t("node.uploading")}
        </span>
      )}
      <div className="loaded-picture-tools nodrag">
        <button type="button" className="button small" onClick={() => picker.current?.click()}>
          <Icon name="upload" /> {t("node.upload")}
        </button>
        {file && !gone && (
          <button
            type="button"
            className="button small"
            title={t("mask.paint")}
            aria-label={t("mask.paint")}
            onClick={() => show({ mask: { file, tab: current().id, node: id, widget: row.key } })}
          >
            <Icon name="brush" />
          </button>
        )}
      </div>
      <input ref={picker} type="file" accept="image/*" hidden onChange={(event) => take(event.target.files?.[0])} />
    </div>
  );
}
