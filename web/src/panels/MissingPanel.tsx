/** What the open workflow lacks: nodes and their packs, models with the nearest file that is there, and pictures. */

import { useEffect, useMemo, useRef, useState } from "react";
import { reveal } from "../canvas/reveal";
import { type Missing, type MissingFile, type MissingNode, missingIn, nothingMissing } from "../document/missing";
import { useT } from "../i18n";
import { useEditor, useTab } from "../state/editor";
import { refreshCatalogue } from "../state/files";
import {
  askForEmbeddings,
  askForPictures,
  confirmedMissing,
  replaceFiles,
  uploadInstead,
  useEmbeddings,
  useFound,
} from "../state/missing";
import { uncoverCanvas } from "../state/ui";
import { Icon } from "../widgets/Icon";

export function MissingPanel() {
  const t = useT();
  const catalogue = useEditor((state) => state.catalogue);
  const doc = useTab((tab) => tab.history.present);
  const found = useFound((state) => state.found);
  const embeddings = useEmbeddings((state) => state.names);
  const all = useMemo(() => missingIn({ doc, catalogue }, embeddings), [doc, catalogue, embeddings]);
  useEffect(() => void askForEmbeddings().catch(() => undefined), []);
  const names = all.pictures.map(({ name }) => name).join("\n");
  useEffect(() => {
    if (names) void askForPictures(all.pictures).catch(() => undefined);
  }, [names, all.pictures]);
  const missing = confirmedMissing(all, found);
  return (
    <div className="panel-body missing">
      {nothingMissing(missing) ? <p className="hint">{t("missing.nothing")}</p> : <Lists missing={missing} />}
      <button type="button" className="button small" onClick={() => void lookAgain().catch(() => undefined)}>
        <Icon name="retry" />
        {t("missing.again")}
      </button>
    </div>
  );
}

const lookAgain = () => Promise.all([refreshCatalogue(), askForEmbeddings()]);

function Lists({ missing: { nodes, models, pictures } }: { missing: Missing }) {
  const t = useT();
  const [chosen, setChosen] = useState<ReadonlyMap<string, string>>(new Map());
  const nameFor = (file: MissingFile) => chosen.get(keyOf(file)) ?? file.choices[0];
  const choose = (file: MissingFile, name: string) => setChosen(new Map(chosen).set(keyOf(file), name));
  const able = models.filter((file) => file.choices.length > 0);
  return (
    <>
      {nodes.length > 0 && (
        <section aria-label={t("missing.nodes")}>
          <h3>{t("missing.nodes")}</h3>
          <ul className="missing-list">
            {nodes.map((node) => (
              <NodeRow key={node.type} node={node} />
            ))}
          </ul>
        </section>
      )}
      {models.length > 0 && (
        <section aria-label={t("missing.models")}>
          <h3>{t("missing.models")}</h3>
          {able.length > 1 && (
            <button
              type="button"
              className="button small primary"
              onClick={() => replaceFiles(able.map((file) => ({ file, name: nameFor(file) as string })))}
            >
              {t("missing.useAll")}
            </button>
          )}
          <ul className="missing-list">
            {models.map((file) => (
              <FileRow key={keyOf(file)} file={file} name={nameFor(file)} onChoose={(name) => choose(file, name)} />
            ))}
          </ul>
        </section>
      )}
      {pictures.length > 0 && (
        <section aria-label={t("missing.pictures")}>
          <h3>{t("missing.pictures")}</h3>
          <ul className="missing-list">
            {pictures.map((file) => (
              <FileRow key={keyOf(file)} file={file} name={nameFor(file)} onChoose={(name) => choose(file, name)} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

const keyOf = ({ folder, picture, name }: MissingFile): string => `${folder ?? picture ?? ""}/${name}`;

function NodeRow({ node: { type, places, registry, repository, version } }: { node: MissingNode }) {
  const t = useT();
  const builtIn = registry === "comfy-core";
  const [pack, address] = builtIn
    ? []
    : registry !== undefined
      ? [registry, `https://registry.comfy.org/nodes/${encodeURIComponent(registry)}`]
      : repository !== undefined
        ? [repository, /^[\w.-]+\/[\w.-]+$/.test(repository) ? `https://github.com/${repository}` : undefined]
        : [];
  return (
    <li>
      <strong>{type}</strong>
      <p>
        {builtIn ? t("missing.builtIn") : pack === undefined ? t("missing.noPack") : `${t("missing.pack")} `}
        {pack !== undefined &&
          (address ? (
            <a href={address} target="_blank" rel="noopener noreferrer">
              {pack}
            </a>
          ) : (
            pack
          ))}
        {pack !== undefined && version && <small> {version}</small>}
      </p>
      <Places places={places} />
    </li>
  );
}

/** A button that leads to the nodes, one after another. */
function Places({ places }: { places: readonly string[] }) {
  const t = useT();
  const tab = useTab(({ id }) => id);
  const next = useRef(0);
  return (
    <button
      type="button"
      className="button small"
      onClick={() => {
        uncoverCanvas();
        reveal({ tab, id: places[next.current % places.length] as string });
        next.current += 1;
      }}
    >
      {places.length > 1 ? t("missing.showAll", { count: places.length }) : t("notice.show")}
    </button>
  );
}

function FileRow({
  file,
  name,
  onChoose,
}: {
  file: MissingFile;
  name: string | undefined;
  onChoose(name: string): void;
}) {
  const t = useT();
  const picker = useRef<HTMLInputElement>(null);
  const { folder, picture, url, hash, hashType, places, choices } = file;
  return (
    <li>
      <strong>{file.name}</strong>
      <p>
        {picture
          ? t("missing.inFolder", { folder: `${picture}/` })
          : folder && t("missing.inFolder", { folder: `models/${folder}/` })}
      </p>
      {url && (
        <p>
          {t("missing.from")}{" "}
          <a href={url} target="_blank" rel="noopener noreferrer">
            {url}
          </a>
        </p>
      )}
      {hash && (
        <p className="missing-hash">
          {hashType ?? t("missing.hash")}: <code>{hash}</code>
        </p>
      )}
      <div className="missing-actions">
        {choices.length > 0 ? (
          <>
            <label>
              <span>{t("missing.instead")}</span>
              <select value={name} onChange={(event) => onChoose(event.target.value)}>
                {choices.map((choice) => (
                  <option key={choice} value={choice}>
                    {choice}
                  </option>
                ))}
              </select>
            </label>
            <button
              type="button"
              className="button small"
              onClick={() => name !== undefined && replaceFiles([{ file, name }])}
            >
              {t("missing.use")}
            </button>
          </>
        ) : (
          <small>{t(picture ? "missing.noPictures" : "missing.noFiles")}</small>
        )}
        {picture === "input" && (
          <button type="button" className="button small" onClick={() => picker.current?.click()}>
            <Icon name="upload" />
            {t("missing.upload")}
          </button>
        )}
        <Places places={places} />
      </div>
      {picture === "input" && (
        <input
          ref={picker}
          type="file"
          accept="image/*"
          hidden
          aria-label={`${t("missing.upload")}: ${file.name}`}
          onChange={(event) => {
            const chosen = event.target.files?.[0];
            if (chosen) void uploadInstead(file, chosen);
          }}
        />
      )}
    </li>
  );
}
