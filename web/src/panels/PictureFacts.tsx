/** What is known of how a picture was made. */

import { useEffect, useState } from "react";
import { parseJson } from "../document/json";
import type { ApiWorkflow } from "../format/api";
import { pictureTexts, type Texts } from "../format/picture";
import { type Facts, pictureFacts } from "../format/picture_facts";
import { useT } from "../i18n";
import { fileKey, server, viewUrl } from "../server/client";
import type { Picture } from "../state/gallery";
import { Icon } from "../widgets/Icon";

/** What the picture itself says, else what the server's history does. Rejects if neither can be read. */
export async function textsOf(picture: Picture): Promise<Texts> {
  const own = await pictureTexts(await (await fetch(viewUrl(picture))).arrayBuffer());
  if (own.prompt || own.workflow || !picture.promptId) return own;
  const [, , prompt, extra] = (await server.entry(picture.promptId))?.prompt ?? [];
  const workflow = (extra?.extra_pnginfo as { workflow?: unknown } | undefined)?.workflow;
  return { prompt: prompt && JSON.stringify(prompt), workflow: workflow ? JSON.stringify(workflow) : undefined };
}

export function PictureFacts({ picture, size }: { picture: Picture; size: { width: number; height: number } | null }) {
  const t = useT();
  const [known, setKnown] = useState<{ key: string; facts: Facts } | null>(null);
  const [copied, setCopied] = useState(-1);
  const key = fileKey(picture);
  useEffect(() => {
    let wanted = true;
    const nothing: Facts = { texts: [], values: [] };
    void textsOf(picture)
      .then(({ prompt }) => (prompt ? pictureFacts(parseJson(prompt) as unknown as ApiWorkflow) : nothing))
      .catch(() => nothing)
      .then((facts) => wanted && setKnown({ key, facts }));
    setCopied(-1);
    return () => {
      wanted = false;
    };
  }, [picture, key]);
  const facts = known?.key === key ? known.facts : null;
  const copy = (text: string, index: number) =>
    void navigator.clipboard.writeText(text).then(
      () => setCopied(index),
      () => undefined,
    );
  return (
    <aside className="viewer-facts" aria-label={t("viewer.facts")}>
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
