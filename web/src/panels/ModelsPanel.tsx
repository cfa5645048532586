/** The model files in the folders: family, size, picture, trigger words and notes; drag one onto the canvas. */

import { useEffect, useMemo, useState } from "react";
import { stage } from "../canvas/stage";
import { loaderOf } from "../document/loaders";
import { type Key, useT, useWords } from "../i18n";
import { modelPreviewUrl } from "../server/client";
import { useEditor } from "../state/editor";
import { addLoader, lookForModels, type PlacedModel, useModels } from "../state/models";
import { uncoverCanvas } from "../state/ui";
import { Icon } from "../widgets/Icon";
import { MODEL_DRAG, useModelDrop } from "./useModelDrop";
import { focusNode } from "./walking";

const MOST_SHOWN = 200;

export function ModelsPanel() {
  const t = useT();
  const { files, asking } = useModels();
  const [wanted, setWanted] = useState("");
  const [folder, setFolder] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  useModelDrop();
  useEffect(() => {
    lookForModels().catch(() => undefined); // the connection banner says so
  }, []);
  const folders = [...files]
    .filter(([, listed]) => listed.length > 0)
    .toSorted(([one], [two]) => one.localeCompare(two));
  const found = useMemo(() => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    return [...files.values()]
      .flat()
      .filter((file) => (!folder || file.folder === folder) && words.every((word) => textOf(file).includes(word)))
      .toSorted((one, two) => one.name.localeCompare(two.name, undefined, { numeric: true }));
  }, [files, wanted, folder]);
  return (
    <div className="panel-body models" aria-busy={asking}>
      <label className="library-search">
        <Icon name="search" />
        <input
          type="search"
          value={wanted}
          placeholder={t("models.search")}
          aria-label={t("models.search")}
          onChange={(event) => setWanted(event.target.value)}
        />
      </label>
      <label className="models-folder">
        <span>{t("models.folder")}</span>
        <select value={folder} onChange={(event) => setFolder(event.target.value)}>
          <option value="">{t("models.all")}</option>
          {folders.map(([name, listed]) => (
            <option key={name} value={name}>
              {name} ({listed.length})
            </option>
          ))}
        </select>
      </label>
      <ul className="models-list">
        {found.slice(0, MOST_SHOWN).map((file) => (
          <ModelRow
            key={keyOf(file)}
            file={file}
            open={open === keyOf(file)}
            onToggle={() => setOpen(open === keyOf(file) ? null : keyOf(file))}
          />
        ))}
      </ul>
      {found.length > MOST_SHOWN && (
        <p className="hint">{t("models.more", { shown: MOST_SHOWN, count: found.length })}</p>
      )}
      {!found.length && <p className="hint">{t(asking ? "models.asking" : "models.none")}</p>}
      <button type="button" className="button small" onClick={() => void lookForModels().catch(() => undefined)}>
        <Icon name="retry" />
        {t("missing.again")}
      </button>
    </div>
  );
}

const keyOf = ({ folder, name }: PlacedModel): string => `${folder}/${name}`;

const textOf = ({ name, folder, family, words, notes }: PlacedModel): string =>
  [name, folder, family ?? "", ...words, ...Object.values(notes)].join("\n").toLowerCase();

const KINDS: Readonly<Record<string, Key>> = {
  checkpoint: "models.kind.checkpoint",
  diffusion_model: "models.kind.diffusion_model",
  lora: "models.kind.lora",
  controlnet: "models.kind.controlnet",
  t2i_adapter: "models.kind.t2i_adapter",
  vae: "models.kind.vae",
  text_encoder: "models.kind.text_encoder",
  clip_vision: "models.kind.clip_vision",
  embedding: "models.kind.embedding",
  style: "models.kind.style",
  gligen: "models.kind.gligen",
};

function ModelRow({ file, open, onToggle }: { file: PlacedModel; open: boolean; onToggle(): void }) {
  const t = useT();
  const { folder, name, size, kind, family, preview } = file;
  const said = kind === null ? undefined : KINDS[kind];
  const facts = [said ? t(said) : folder, family, sizeText(size)].filter(Boolean);
  return (
    <li className="model" data-open={open || undefined}>
      {/* The row is dragged, not the button: Firefox drags no buttons. */}
      <div
        className="model-head"
        draggable
        title={t("models.drag")}
        onDragStart={(event) => {
          event.dataTransfer.setData(MODEL_DRAG, JSON.stringify({ folder, name }));
          event.dataTransfer.effectAllowed = "copy";
        }}
      >
        {preview ? (
          <img src={modelPreviewUrl(folder, name)} alt="" loading="lazy" draggable={false} />
        ) : (
          <span className="model-blank">
            <Icon name="model" />
          </span>
        )}
        <button type="button" className="model-text" aria-expanded={open} onClick={onToggle}>
          <strong>{name.replace(/^.*\//, "")}</strong>
          <small>{facts.join(" · ")}</small>
        </button>
      </div>
      {open && <Details file={file} />}
    </li>
  );
}

const NOTES: Readonly<Record<string, Key>> = {
  title: "models.note.title",
  author: "models.note.author",
  description: "models.note.description",
  usage_hint: "models.note.usage_hint",
  license: "models.note.license",
  date: "models.note.date",
  resolution: "models.note.resolution",
  base_model: "models.note.base_model",
  rank: "models.note.rank",
};

function Details({ file: { folder, name, words, notes, modified } }: { file: PlacedModel }) {
  const t = useT();
  const language = useWords((state) => state.language);
  const catalogue = useEditor((state) => state.catalogue);
  const loader = useMemo(() => loaderOf(catalogue, folder), [catalogue, folder]);
  const add = () => {
    uncoverCanvas();
    const [x, y] = stage?.middle() ?? [0, 0];
    const id = addLoader(folder, name, [x - 135, y - 40]);
    if (id !== null) focusNode(id);
  };
  const copy = (text: string) => void navigator.clipboard?.writeText(text);
  return (
    <div className="model-details">
      <p>
        {folder}/{name}
        <small>{new Date(modified * 1000).toLocaleDateString(language)}</small>
      </p>
      {words.length > 0 && (
        <section aria-label={t("models.words")}>
          <h4>{t("models.words")}</h4>
          <p className="model-words">
            {words.map((word) => (
              <button type="button" key={word} title={t("viewer.copy")} onClick={() => copy(word)}>
                {word}
              </button>
            ))}
          </p>
        </section>
      )}
      {Object.keys(notes).length > 0 && (
        <dl>
          {Object.entries(notes).map(([key, text]) => {
            const label = NOTES[key];
            return (
              <div key={key}>
                <dt>{label ? t(label) : key}</dt>
                <dd>{text}</dd>
              </div>
            );
          })}
        </dl>
      )}
      <div className="help-actions">
        {loader && (
          <button type="button" className="button small primary" onClick={add}>
            <Icon name="add" />
            {t("models.add")}
          </button>
        )}
        {folder === "embeddings" && (
          <button
            type="button"
            className="button small"
            onClick={() => copy(`embedding:${name.replace(/\.[^.]*$/, "")}`)}
          >
            <Icon name="copy" />
            {t("models.copyEmbedding")}
          </button>
        )}
      </div>
    </div>
  );
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** In decimal units: `6.9 GB`. */
export function sizeText(bytes: number): string {
  const power = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${UNITS[power]}`;
}
