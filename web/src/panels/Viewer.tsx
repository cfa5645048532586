/** A picture in full: zoom, neighbours, comparison with another, and where it came from. */

import { useEffect, useRef, useState } from "react";
import { stage } from "../canvas/stage";
import { pictureTexts } from "../format/picture";
import { addNode, newNode, nextNodeId } from "../graph/edits";
import { useT } from "../i18n";
import { type FileRef, viewUrl } from "../server/client";
import { current, edit, levelOf, select, useEditor } from "../state/editor";
import { openText, uploadTo } from "../state/files";
import { notify } from "../state/notices";
import { show, useUi } from "../state/ui";
import { Icon, type IconName } from "../widgets/Icon";

const WHOLE = { zoom: 1, x: 0, y: 0 };

export default function Viewer() {
  const t = useT();
  const viewer = useUi((state) => state.viewer);
  const [place, setPlace] = useState(WHOLE);
  const [against, setAgainst] = useState<FileRef | null>(null);
  const [share, setShare] = useState(50);
  const drag = useRef<{ x: number; y: number } | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => void dialog.current?.showModal(), []);
  if (!viewer) return null;
  const { pictures, index } = viewer;
  const file = pictures[index] as FileRef;
  const close = () => show({ viewer: null });
  const go = (by: number) => {
    setPlace(WHOLE);
    show({ viewer: { pictures, index: Math.min(pictures.length - 1, Math.max(0, index + by)) } });
  };
  const tool = (icon: IconName, label: string, act: () => void, pressed?: boolean) => (
    <button type="button" className="icon-button" title={label} aria-label={label} aria-pressed={pressed} onClick={act}>
      <Icon name={icon} />
    </button>
  );
  const transform = `translate(${place.x}px, ${place.y}px) scale(${place.zoom})`;
  return (
    <dialog
      ref={dialog}
      className="viewer"
      aria-label={file.filename}
      onClose={close}
      onKeyDown={(event) => {
        if (event.key === "ArrowRight") go(1);
        else if (event.key === "ArrowLeft") go(-1);
      }}
    >
      <header>
        <span className="viewer-name">{file.filename}</span>
        {tool("workflow", t("gallery.workflow"), () => void openWorkflow(file).then((opened) => opened && close()))}
        {tool("toInput", t("gallery.toInput"), () => void useAsInput(file).then(close))}
        {tool("compare", t("gallery.compare"), () => setAgainst(against ? null : file), against !== null)}
        <a className="icon-button" href={viewUrl(file)} download={file.filename} title={t("app.download")} aria-label={t("app.download")}>
          <Icon name="download" />
        </a>
        {tool("close", t("app.close"), close)}
      </header>
      <div
        className="viewer-stage"
        title={t("gallery.zoom")}
        onWheel={(event) => {
          const zoom = Math.min(16, Math.max(0.5, place.zoom * Math.exp(-event.deltaY / 400)));
          const box = event.currentTarget.getBoundingClientRect();
          const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
          const ratio = zoom / place.zoom;
          setPlace({ zoom, x: x - (x - place.x) * ratio, y: y - (y - place.y) * ratio });
        }}
        onPointerDown={(event) => {
          if (event.target instanceof HTMLInputElement) return;
          drag.current = { x: event.clientX - place.x, y: event.clientY - place.y };
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => drag.current && setPlace({ ...place, x: event.clientX - drag.current.x, y: event.clientY - drag.current.y })}
        onPointerUp={() => (drag.current = null)}
        onDoubleClick={() => setPlace(WHOLE)}
      >
        <img src={viewUrl(file)} alt={file.filename} draggable={false} style={{ transform }} />
        {against && (
          <>
            <div className="viewer-against" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
              <img src={viewUrl(against)} alt={against.filename} draggable={false} style={{ transform }} />
            </div>
            <i className="viewer-split" style={{ left: `${share}%` }} />
            <input className="viewer-slider" type="range" min={0} max={100} value={share} aria-label={t("gallery.compare")} onChange={(event) => setShare(Number(event.target.value))} />
          </>
        )}
      </div>
      {pictures.length > 1 && (
        <div className="viewer-strip">
          {pictures.slice(Math.max(0, index - 12), index + 13).map((entry) => {
            const at = pictures.indexOf(entry);
            return (
              <button type="button" key={`${entry.subfolder}/${entry.filename}`} aria-current={at === index || undefined} aria-label={entry.filename} onClick={() => show({ viewer: { pictures, index: at } })}>
                <img src={viewUrl(entry, "webp;70")} alt="" />
              </button>
            );
          })}
        </div>
      )}
    </dialog>
  );
}

async function openWorkflow(file: FileRef): Promise<boolean> {
  try {
    const texts = await pictureTexts(await (await fetch(viewUrl(file))).arrayBuffer());
    const text = texts.workflow ?? texts.prompt;
    if (text) openText(file.filename.replace(/\.[^.]+$/, ""), text);
    else notify("error", "file.nothing", file.filename);
    return Boolean(text);
  } catch {
    notify("error", "file.unreadable", file.filename);
    return false;
  }
}

/** Into the selected node that loads pictures, else a new one. */
async function useAsInput(file: FileRef): Promise<void> {
  const blob = await (await fetch(viewUrl(file))).blob();
  const picture = new File([blob], file.filename, { type: blob.type });
  const { catalogue } = useEditor.getState();
  const chosen = levelOf(current()).nodes.find((node) => node.type === "LoadImage" && current().selection.has(String(node.id)));
  if (chosen) return uploadTo(String(chosen.id), "image", picture);
  const def = catalogue.get("LoadImage");
  if (!def || !stage) return;
  const id = nextNodeId(levelOf(current()));
  const [x, y] = stage.middle();
  edit((level) => addNode(level, newNode(def, id, [Math.round(x) - 135, Math.round(y) - 100])));
  select([String(id)]);
  await uploadTo(String(id), "image", picture);
}
