/** Shows one picture: zoom, next and previous, comparison with another, and how it was made. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { emptyDocument } from "../document/document";
import { useT } from "../i18n";
import { fileKey, thumbnailUrl, viewUrl } from "../server/client";
import { writeWidget } from "../state/commands";
import { ask } from "../state/dialogs";
import { openTab } from "../state/editor";
import { isFavourite, useFavourites } from "../state/favourites";
import { openFile, uploadTo } from "../state/files";
import { deleteFiles, forget, type Picture } from "../state/gallery";
import { notify } from "../state/notices";
import { pictureTarget } from "../state/picture_target";
import { show, useUi } from "../state/ui";
import { Icon, type IconName } from "../widgets/Icon";
import { Split } from "../widgets/Split";
import { star } from "./GalleryTools";
import { PictureFacts } from "./PictureFacts";
import { usePanZoom } from "./usePanZoom";

const STRIP = 12;
const KEPT = "sumi.facts";

export default function Viewer() {
  const viewer = useUi((state) => state.viewer);
  const file = viewer?.pictures[viewer.index];
  return viewer && file ? <OpenViewer pictures={viewer.pictures} index={viewer.index} file={file} /> : null;
}

function OpenViewer({ pictures, index, file }: { pictures: readonly Picture[]; index: number; file: Picture }) {
  const t = useT();
  const starred = useFavourites((state) => isFavourite(state.pictures, file));
  const [against, setAgainst] = useState<Picture | null>(null);
  const [share, setShare] = useState(50);
  const [facts, setFacts] = useState(localStorage.getItem(KEPT) !== "off");
  const [natural, setNatural] = useState<{ key: string; width: number; height: number } | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const paper = useRef<HTMLDivElement>(null);
  const [box, setBox] = useState({ width: 1, height: 1 });
  const { place, handlers, zoomBy, panBy, reset } = usePanZoom(paper);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    paper.current?.focus();
    return () => before?.focus?.();
  }, []);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(
      ([entry]) => entry && setBox({ width: entry.contentRect.width, height: entry.contentRect.height }),
    );
    observer.observe(paper.current as HTMLDivElement);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    dialog.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [index]);

  const key = fileKey(file);
  const size = natural?.key === key ? natural : null;
  const fitted = size ? Math.min(box.width / size.width, box.height / size.height) : 1;
  const scale = fitted * place.zoom;
  const close = () => show({ viewer: null });
  const open = (at: number) => show({ viewer: { pictures, index: Math.min(pictures.length - 1, Math.max(0, at)) } });
  const go = (by: number) => {
    if (!against) reset();
    open(index + by);
  };
  const compare = () => {
    setAgainst(against ? null : file);
    setShare(50);
    if (!against) open(index + 1 < pictures.length ? index + 1 : index - 1);
  };
  const remove = async () => {
    if (!file.promptId) return;
    const given = await ask({
      title: t("viewer.forgetTitle"),
      text: t("viewer.forgetText"),
      choices: [
        { id: "forget", label: t("viewer.forgetIt"), kind: "primary" },
        { id: "delete", label: t("viewer.deleteIt"), kind: "danger" },
      ],
    });
    if (given === null) return;
    const forgets = given.choice === "forget";
    try {
      await (forgets ? forget(file) : deleteFiles([file]));
    } catch {
      return notify("error", "run.unreachable");
    }
    const rest = pictures.filter((entry) => entry !== file && !(forgets && entry.promptId === file.promptId));
    if (rest.length) show({ viewer: { pictures: rest, index: Math.min(index, rest.length - 1) } });
    else close();
  };
  const press = (event: React.KeyboardEvent) => {
    const act = {
      ArrowRight: () => (event.shiftKey ? panBy(-60, 0) : go(1)),
      ArrowLeft: () => (event.shiftKey ? panBy(60, 0) : go(-1)),
      ArrowUp: () => panBy(0, 60),
      ArrowDown: () => panBy(0, -60),
      Home: () => open(0),
      End: () => open(pictures.length - 1),
      "+": () => zoomBy(1.3),
      "=": () => zoomBy(1.3),
      "-": () => zoomBy(1 / 1.3),
      "0": reset,
      "1": () => zoomBy(1 / scale),
      c: compare,
      i: toggleFacts,
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const toggleFacts = () => {
    localStorage.setItem(KEPT, facts ? "off" : "on");
    setFacts(!facts);
  };
  const tool = (
    icon: IconName,
    label: string,
    act: () => void,
    more: { pressed?: boolean; disabled?: boolean } = {},
  ) => (
    <button
      type="button"
      className="icon-button"
      title={label}
      aria-label={label}
      aria-pressed={more.pressed}
      disabled={more.disabled}
      onClick={act}
    >
      <Icon name={icon} />
    </button>
  );
  const style = {
    transform: `translate(${place.x}px, ${place.y}px) scale(${place.zoom})`,
    imageRendering: place.zoom > 1 && scale * window.devicePixelRatio > 3 ? ("pixelated" as const) : undefined,
  };
  const strip = pictures.slice(Math.max(0, index - STRIP), index + STRIP + 1);
  const offset = Math.max(0, index - STRIP);
  return (
    <dialog ref={dialog} className="viewer" aria-label={file.filename} onClose={close} onKeyDown={press}>
      <header>
        <span className="viewer-name" aria-live="polite">
          {file.filename}
          <small>{pictures.length > 1 && ` ${index + 1} / ${pictures.length}`}</small>
        </span>
        {tool("minusMagnifier", `${t("app.zoomOut")} (-)`, () => zoomBy(1 / 1.3))}
        <button type="button" className="viewer-zoom" title={`${t("viewer.fit")} (0)`} onClick={reset}>
          {Math.round(scale * 100)} %
        </button>
        {tool("plusMagnifier", `${t("app.zoomIn")} (+)`, () => zoomBy(1.3))}
        <i className="divider" />
        {tool("compare", `${t("gallery.compare")} (C)`, compare, {
          pressed: against !== null,
          disabled: pictures.length < 2,
        })}
        {tool("info", `${t("viewer.facts")} (I)`, toggleFacts, { pressed: facts })}
        <i className="divider" />
        {tool("workflow", t("gallery.workflow"), () => void openWorkflow(file).then((opened) => opened && close()))}
        {tool("toInput", t("gallery.toInput"), () => void takeAsInput(file).then(close))}
        {tool("add", t("gallery.toNewTab"), () => {
          openTab(file.filename.replace(/\.[^.]+$/, ""), emptyDocument());
          void takeAsInput(file).then(close);
        })}
        {tool("star", t(starred ? "gallery.unstar" : "gallery.star"), () => void star([file], !starred), {
          pressed: starred,
        })}
        <a
          className="icon-button"
          href={viewUrl(file)}
          download={file.filename}
          title={t("app.download")}
          aria-label={t("app.download")}
        >
          <Icon name="download" />
        </a>
        {file.promptId && tool("trash", t("viewer.forget"), () => void remove())}
        <i className="divider" />
        {tool("close", t("app.close"), close)}
      </header>
      <div className="viewer-middle">
        <div
          className="viewer-stage"
          ref={paper}
          tabIndex={0}
          role="group"
          aria-label={t("gallery.zoom")}
          {...handlers}
          onDoubleClick={() => (place.zoom === 1 ? zoomBy(1 / scale) : reset())}
        >
          <img
            src={viewUrl(file)}
            alt={file.filename}
            draggable={false}
            style={style}
            onLoad={({ currentTarget: image }) =>
              setNatural({ key, width: image.naturalWidth, height: image.naturalHeight })
            }
          />
          {against && (
            <>
              <div className="viewer-against" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
                <img src={viewUrl(against)} alt={against.filename} draggable={false} style={style} />
              </div>
              <span className="viewer-label" data-side="left">
                {against.filename}
              </span>
              <span className="viewer-label" data-side="right">
                {file.filename}
              </span>
              <Split share={share} stage={paper} onChange={setShare} />
            </>
          )}
          {pictures.length > 1 && (
            <>
              <button
                type="button"
                className="viewer-turn"
                data-side="left"
                aria-label={t("viewer.previous")}
                title={`${t("viewer.previous")} (←)`}
                disabled={index === 0}
                onPointerDown={(event) => event.stopPropagation()}
                onDoubleClick={(event) => event.stopPropagation()}
                onClick={() => go(-1)}
              >
                <Icon name="chevron" />
              </button>
              <button
                type="button"
                className="viewer-turn"
                data-side="right"
                aria-label={t("viewer.next")}
                title={`${t("viewer.next")} (→)`}
                disabled={index === pictures.length - 1}
                onPointerDown={(event) => event.stopPropagation()}
                onDoubleClick={(event) => event.stopPropagation()}
                onClick={() => go(1)}
              >
                <Icon name="chevron" />
              </button>
            </>
          )}
        </div>
        {facts && <PictureFacts picture={file} size={size} />}
      </div>
      {pictures.length > 1 && (
        <div className="viewer-strip">
          {strip.map((entry, at) => (
            <button
              type="button"
              key={fileKey(entry)}
              aria-current={offset + at === index || undefined}
              aria-label={entry.filename}
              data-against={entry === against || undefined}
              onClick={() => open(offset + at)}
            >
              <img src={thumbnailUrl(entry)} alt="" loading="lazy" />
            </button>
          ))}
        </div>
      )}
    </dialog>
  );
}

async function openWorkflow(file: Picture): Promise<boolean> {
  try {
    const answer = await fetch(viewUrl(file));
    if (!answer.ok) throw new Error(`${answer.status}`);
    return await openFile(new File([await answer.blob()], file.filename));
  } catch {
    notify("error", "file.unreadable", file.filename);
    return false;
  }
}

/** Load the picture into the node or field that the open view chooses. */
async function takeAsInput(file: Picture): Promise<void> {
  const to = pictureTarget();
  if (!to) return;
  if (file.type === "input")
    return writeWidget(to.id, to.key, `${file.subfolder ? `${file.subfolder}/` : ""}${file.filename}`, null, to.path);
  const blob = await (await fetch(viewUrl(file))).blob();
  await uploadTo(to.id, to.key, new File([blob], file.filename, { type: blob.type }), to.path);
}
