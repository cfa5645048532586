/** A picture to load: upload, drop or choose one, and paint its mask. */

import { useRef, useState } from "react";
import { useT } from "../i18n";
import { annotated, thumbnailUrl } from "../server/client";
import { writeField } from "../state/app";
import { settleStep, useTab } from "../state/editor";
import { uploadKey, uploadTo, useUploads } from "../state/files";
import { show } from "../state/ui";
import { ChoiceField } from "../widgets/ChoiceField";
import { Icon } from "../widgets/Icon";
import { UnderMask } from "../widgets/UnderMask";
import type { ShownField } from "./shown_fields";

export function PictureField({ shown: { field, found }, name }: { shown: ShownField; name: string }) {
  const t = useT();
  const { place, view } = found;
  const tab = useTab((open) => open.id);
  const picker = useRef<HTMLInputElement>(null);
  const uploading = useUploads(({ on }) => on.includes(uploadKey(tab, place.node)));
  const [missing, setMissing] = useState<string | null>(null);
  const named = typeof view.value === "string" && view.value ? view.value : null;
  const file = named === null ? null : annotated(named, view.input.folder);
  const gone = named !== null && missing === named;
  const take = (picture: File | undefined) => picture && void uploadTo(place.node, place.key, picture, place.path);
  return (
    <div
      className="app-picture"
      onDragOver={(event) => event.dataTransfer.types.includes("Files") && event.preventDefault()}
      onDrop={(event) => {
        const picture = [...event.dataTransfer.files].find(({ type }) => type.startsWith("image/"));
        if (!picture) return;
        event.preventDefault();
        event.stopPropagation();
        take(picture);
      }}
    >
      <div className="app-picture-frame">
        {file && !gone ? (
          <>
            <UnderMask thumbnail={thumbnailUrl(file)} />
            <img src={thumbnailUrl(file)} alt={file.filename} draggable={false} onError={() => setMissing(named)} />
          </>
        ) : (
          <span className="hint">{file ? t("node.noFile", { name: file.filename }) : t("node.drop")}</span>
        )}
        {uploading && (
          <span className="uploading" role="status">
            {t("node.uploading")}
          </span>
        )}
      </div>
      <div className="app-picture-tools">
        <ChoiceField
          label={name}
          choices={view.input.choices ?? []}
          value={view.value}
          open
          onChange={(next) => {
            writeField(field, place, next);
            settleStep();
          }}
        />
        <button type="button" className="button" onClick={() => picker.current?.click()}>
          <Icon name="upload" /> {t("node.upload")}
        </button>
        {file && !gone && (
          <button
            type="button"
            className={field.mask ? "button primary" : "button"}
            onClick={() => show({ mask: { file, tab, node: place.node, widget: place.key, path: place.path } })}
          >
            <Icon name="brush" /> {t("mask.paint")}
          </button>
        )}
      </div>
      <input
        ref={picker}
        type="file"
        accept="image/*"
        aria-label={`${name}: ${t("node.upload")}`}
        hidden
        onChange={(event) => {
          take(event.target.files?.[0]);
          event.target.value = "";
        }}
      />
    </div>
  );
}
