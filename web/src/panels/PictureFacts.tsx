/** Shows how a picture was made. */

import { useEffect, useState } from "react";
import { parseJson } from "../document/json";
import type { ApiWorkflow } from "../format/api";
import { pictureTexts, type Texts } from "../format/picture";
import { type Facts, pictureFacts } from "../format/picture_facts";
import { useT } from "../i18n";
import { fileKey, picturesOf, server, textsOf, viewUrl } from "../server/client";
import type { Picture } from "../state/gallery";
import { Icon } from "../widgets/Icon";
import { OutputText } from "../widgets/OutputText";

/** Reads the picture's own data, else the server's history. Rejects if neither can be read. */
async function metadataOf(picture: Picture): Promise<Texts> {
  const own = await pictureTexts(await (await fetch(viewUrl(picture))).arrayBuffer());
  if (own.prompt || own.workflow || !picture.promptId) return own;
  const [, , prompt, extra] = (await server.entry(picture.promptId))?.prompt ?? [];
  const workflow = (extra?.extra_pnginfo as { workflow?: unknown } | undefined)?.workflow;
  return { prompt: prompt && JSON.stringify(prompt), workflow: workflow ? JSON.stringify(workflow) : undefined };
}

/** The text that the picture's node returned with it, such as a table. */
async function saidWith(picture: Picture): Promise<string> {
  if (picture.said !== undefined) return picture.said;
  const outputs = picture.promptId ? Object.values((await server.job(picture.promptId)).outputs) : [];
  const own = outputs.filter((output) => picturesOf(output).some((file) => fileKey(file) === fileKey(picture)));
  return own.flatMap(textsOf).join("\n\n");
}

export function PictureFacts({ picture, size }: { picture: Picture; size: { width: number; height: number } | null }) {
  const t = useT();
  const [known, setKnown] = useState<{ key: string; facts: Facts; said: string } | null>(null);
  const [copied, setCopied] = useState(-1);
  const key = fileKey(picture);
  useEffect(() => {
    let wanted = true;
    const nothing: Facts = { texts: [], values: [] };
    const facts = metadataOf(picture)
      .then(({ prompt }) => (prompt ? pictureFacts(parseJson(prompt) as unknown as ApiWorkflow) : nothing))
      .catch(() => nothing);
    const said = saidWith(picture).catch(() => "");
    void Promise.all([facts, said]).then(([facts, said]) => wanted && setKnown({ key, facts, said }));
    setCopied(-1);
    return () => {
      wanted = false;
    };
  }, [picture, key]);
  const { facts, said } = known?.key === key ? known : { facts: null, said: "" };
  const copy = (text: string, index: number) =>
    void navigator.clipboard.writeText(text).then(
      () => setCopied(index),
      () => undefined,
    );
  return (
    <aside className="viewer-facts" aria-label={t("viewer.facts")}>
      {said && (
        <section aria-label={t("node.said")}>
          <OutputText text={said} />
        </section>
      )}
      {facts?.texts.map(({ title, text }, index) => (
        <section key={`${title} ${text}`}>
          <header>
            <h3>{title}</h3>
            <button
              type="button"
              className="icon-button"
              title={t("viewer.copy")}
              aria-label={`${t("viewer.copy")}: ${title}`}
              onClick={() => copy(text, index)}
            >
              <Icon name={copied === index ? "check" : "copy"} />
            </button>
          </header>
          <p>{text}</p>
        </section>
      ))}
      <dl>
        {size && (
          <div>
            <dt>{t("viewer.size")}</dt>
            <dd>{`${size.width} × ${size.height}`}</dd>
          </div>
        )}
        {facts?.values.map(({ name, value }) => (
          <div key={`${name} ${value}`}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {facts && !facts.texts.length && !facts.values.length && <p className="hint">{t("file.nothing")}</p>}
    </aside>
  );
}
