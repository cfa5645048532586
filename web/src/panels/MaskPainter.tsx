/** Paints what of a picture is to be made anew. The mask becomes the picture's transparency. */

import { useEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { server, viewUrl } from "../server/client";
import { notify } from "../state/notices";
import { refreshCatalogue } from "../state/files";
import { show, useUi } from "../state/ui";
import { writeWidget } from "../state/commands";
import { settleStep, showTab } from "../state/editor";
import { Icon } from "../widgets/Icon";
import { Dialog } from "./Dialog";

const MOST_UNDO = 30;

export default function MaskPainter() {
  const t = useT();
  const mask = useUi((state) => state.mask);
  const layer = useRef<HTMLCanvasElement>(null);
  const [picture, setPicture] = useState<HTMLImageElement | null>(null);
  const [size, setSize] = useState(28);
  const [erasing, setErasing] = useState(false);
  const [steps, setSteps] = useState<ImageData[]>([]);
  const last = useRef<{ x: number; y: number } | null>(null);
  const url = mask ? viewUrl(mask.file) : "";

  useEffect(() => {
    const image = new Image();
    image.onload = () => {
      const canvas = layer.current as HTMLCanvasElement;
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      setSize(Math.max(4, Math.round(Math.min(image.naturalWidth, image.naturalHeight) / 8)));
      setPicture(image);
    };
    image.src = url;
  }, [url]);

  if (!mask) return null;
  const context = () => layer.current?.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  const whole = () => context().getImageData(0, 0, layer.current?.width ?? 1, layer.current?.height ?? 1);
  const close = () => show({ mask: null });
  const at = (event: React.PointerEvent) => {
    const canvas = layer.current as HTMLCanvasElement;
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * canvas.width, y: ((event.clientY - box.top) / box.height) * canvas.height };
  };
  const stroke = (event: React.PointerEvent) => {
    const to = at(event);
    const from = last.current ?? to;
    const brush = context();
    brush.globalCompositeOperation = erasing || event.buttons === 2 ? "destination-out" : "source-over";
    brush.lineCap = "round";
    brush.lineWidth = size;
    brush.strokeStyle = "#000";
    brush.beginPath();
    brush.moveTo(from.x, from.y);
    brush.lineTo(to.x + 0.01, to.y);
    brush.stroke();
    last.current = to;
  };
  const back = () => {
    const before = steps.at(-1);
    if (!before) return;
    context().putImageData(before, 0, 0);
    setSteps(steps.slice(0, -1));
  };
  const save = async () => {
    // What is painted becomes transparent: the server keeps the picture's colours and takes the alpha from here.
    const canvas = layer.current as HTMLCanvasElement;
    const alpha = document.createElement("canvas");
    [alpha.width, alpha.height] = [canvas.width, canvas.height];
    const paper = alpha.getContext("2d") as CanvasRenderingContext2D;
    paper.fillStyle = "#fff";
    paper.fillRect(0, 0, alpha.width, alpha.height);
    paper.globalCompositeOperation = "destination-out";
    paper.drawImage(canvas, 0, 0);
    const blob = await new Promise<Blob | null>((resolve) => alpha.toBlob(resolve, "image/png"));
    if (!blob) return;
    try {
      const stem = mask.file.filename.replace(/\.[^.]+$/, "");
      const { name, subfolder } = await server.upload(blob, `${stem}-mask.png`, mask.file);
      await refreshCatalogue();
      showTab(mask.tab);
      writeWidget(mask.node, mask.widget, `${subfolder ? `${subfolder}/` : ""}${name} [input]`, null);
      settleStep();
      close();
    } catch (error) {
      notify("error", "run.refused", error instanceof Error ? error.message : undefined);
    }
  };
  return (
    <Dialog title={t("mask.title")} onClose={close} wide>
      <div className="mask-tools">
        <button type="button" className="button" aria-pressed={!erasing} onClick={() => setErasing(false)}>
          <Icon name="brush" /> {t("mask.brush")}
        </button>
        <button type="button" className="button" aria-pressed={erasing} onClick={() => setErasing(true)}>
          {t("mask.eraser")}
        </button>
        <label>
          {t("mask.size")}
          <input type="range" min={1} max={Math.max(64, Math.round((picture?.naturalWidth ?? 512) / 2))} value={size} onChange={(event) => setSize(Number(event.target.value))} />
        </label>
        <button type="button" className="icon-button" title={t("app.undo")} aria-label={t("app.undo")} disabled={!steps.length} onClick={back}>
          <Icon name="undo" />
        </button>
        <button
          type="button"
          className="button"
          onClick={() => {
            setSteps([...steps, whole()].slice(-MOST_UNDO));
            context().clearRect(0, 0, layer.current?.width ?? 0, layer.current?.height ?? 0);
          }}
        >
          {t("mask.clear")}
        </button>
        <span className="rail-space" />
        <button type="button" className="button" onClick={close}>{t("mask.cancel")}</button>
        <button type="button" className="button primary" onClick={() => void save()}>{t("mask.save")}</button>
      </div>
      <div className="mask-stage" onContextMenu={(event) => event.preventDefault()}>
        <div className="mask-sheet" style={{ aspectRatio: picture ? `${picture.naturalWidth} / ${picture.naturalHeight}` : "1" }}>
          <img src={url} alt={mask.file.filename} draggable={false} />
          <canvas
            ref={layer}
            onPointerDown={(event) => {
              event.currentTarget.setPointerCapture(event.pointerId);
              setSteps([...steps, whole()].slice(-MOST_UNDO));
              last.current = null;
              stroke(event);
            }}
            onPointerMove={(event) => event.buttons && last.current && stroke(event)}
            onPointerUp={() => (last.current = null)}
            onKeyDown={(event) => event.key === "z" && (event.ctrlKey || event.metaKey) && back()}
            tabIndex={0}
          />
        </div>
      </div>
    </Dialog>
  );
}
