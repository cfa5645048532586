/** Where to begin: examples, and what was saved. */

import { useEffect, useState } from "react";
import { useT } from "../i18n";
import { type Doc, emptyDocument } from "../graph/document";
import { server } from "../server/client";
import { openTab, useEditor } from "../state/editor";
import { openSaved } from "../state/files";
import { Icon } from "../widgets/Icon";
import { Sketch } from "./Sketch";

const EXAMPLES = import.meta.glob<{ default: Doc }>("../../../workflows/*.json");

export function Start() {
  const t = useT();
  const tabs = useEditor((state) => state.tabs);
  const [saved, setSaved] = useState<{ path: string; modified: number }[]>([]);
  const [examples, setExamples] = useState<[string, Doc][]>([]);
  const files = tabs.map((tab) => tab.file).join();
  useEffect(() => {
    void server.workflows().then(setSaved, () => setSaved([]));
  }, [files]);
  useEffect(() => {
    const loading = Object.entries(EXAMPLES).map(async ([path, load]) => [nameOf(path), (await load()).default] as [string, Doc]);
    void Promise.all(loading).then((found) => setExamples(found.sort(([first], [second]) => Number(second === "text_to_image") - Number(first === "text_to_image"))));
  }, []);
  const remove = async (path: string) => {
    if (!window.confirm(t("file.delete", { name: path }))) return;
    await server.deleteFile(`workflows/${path}`);
    setSaved((before) => before.filter((entry) => entry.path !== path));
  };
  return (
    <div className="panel-body">
      <h3>{t("start.examples")}</h3>
      <div className="examples">
        {examples.map(([name, doc]) => (
          <button type="button" key={name} className="example" onClick={() => openTab(name, doc)}>
            <Sketch doc={doc} />
            <span>{name.replaceAll("_", " ")}</span>
          </button>
        ))}
        <button type="button" className="example" onClick={() => openTab(t("app.untitled"), emptyDocument())}>
          <span className="sketch empty"><Icon name="add" /></span>
          <span>{t("start.empty")}</span>
        </button>
      </div>
      <h3>{t("start.saved")}</h3>
      {!saved.length && <p className="hint">{t("start.nothingSaved")}</p>}
      {saved.map(({ path, modified }) => (
        <div className="job" key={path}>
          <button type="button" className="job-open" onClick={() => void openSaved(path)}>
            <span className="job-name">{path.replace(/\.json$/, "")}</span>
            <small>{new Date(modified).toLocaleDateString()}</small>
          </button>
          <button type="button" className="icon-button" aria-label={`${t("menu.delete")} ${path}`} title={t("menu.delete")} onClick={() => void remove(path)}>
            <Icon name="trash" />
          </button>
        </div>
      ))}
    </div>
  );
}

const nameOf = (path: string) => path.replace(/^.*\//, "").replace(/\.json$/, "");
