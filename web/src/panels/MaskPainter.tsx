/** Paints the area of a picture to regenerate. The mask becomes the picture's transparency. */

import { type PointerEvent, useEffect, useRef, useState } from "react";
import { useT } from "../i18n";
import { server, viewUrl } from "../server/client";
import { writeWidget } from "../state/commands";
import { settleStep, showTab } from "../state/editor";
import { refreshCatalogue } from "../state/files";
import { notify } from "../state/notices";
import { show, useUi } from "../state/ui";
import { Icon, type IconName } from "../widgets/Icon";
import { Dialog } from "./Dialog";
import { MaskSheet, type Point } from "./maskSheet";
import { usePanZoom } from "./usePanZoom";

type Mask = NonNullable<ReturnType<typeof useUi.getState>["mask"]>;
type Tool = "brush" | "eraser" | "hand";

const RIGHT_OR_PENS_ERASER = 2 | 32;

export default function MaskPainter() {
  const mask = useUi((state) => state.mask);
  return mask && <OpenPainter key={viewUrl(mask.file)} mask={mask} />;
}

function OpenPainter({ mask }: { mask: Mask }) {
  const t = useT();
  const layer = useRef<HTMLCanvasElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const ring = useRef<HTMLElement>(null);
  const last = useRef<Point | null>(null);
  const [sheet, setSheet] = useState<MaskSheet | null>(null);
  const [size, setSize] = useState(32);
  const [softness, setSoftness] = useState(0);
  const [tool, setTool] = useState<Tool>("brush");
  const [saving, setSaving] = useState(false);
  const [, setTurn] = useState(0);
  const { place, handlers, zoomBy, reset } = usePanZoom(stage);
  const longest = sheet ? Math.max(sheet.width, sheet.height) : 512;

  useEffect(() => {
    let wanted = true;
    const alpha = new Image();
    alpha.src = viewUrl(mask.file, { channel: "a" });
    void alpha.decode().then(
      () => {
        if (!wanted || !layer.current) return;
        const made = new MaskSheet(layer.current, alpha.naturalWidth, alpha.naturalHeight);
        made.load(alpha);
        setSize(Math.max(4, Math.round(Math.min(made.width, made.height) / 8)));
        setSheet(made);
      },
      () => wanted && notify("error", "file.unreadable", mask.file.filename),
    );
    return () => {
      wanted = false;
    };
  }, [mask]);

  const close = () => show({ mask: null });
  const changed = () => setTurn((turn) => turn + 1);
  const change = (act: (on: MaskSheet) => void) => {
    if (sheet) act(sheet);
    changed();
  };
  const at = (event: { clientX: number; clientY: number }): Point => {
    const box = (layer.current as HTMLCanvasElement).getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * (sheet?.width ?? 1),
      y: ((event.clientY - box.top) / box.height) * (sheet?.height ?? 1),
    };
  };
  const paint = (event: PointerEvent) => {
    const pressed = event.pointerType === "pen" && event.pressure > 0 ? 0.3 + 0.7 * event.pressure : 1;
    const brush = {
      size: size * pressed,
      softness,
      erasing: tool === "eraser" || (event.buttons & RIGHT_OR_PENS_ERASER) > 0,
    };
    const moves = event.nativeEvent.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) {
      const to = at(move);
      if (last.current?.x === to.x && last.current.y === to.y) continue; // a resting soft brush does not add more paint
      sheet?.stroke(last.current ?? to, to, brush);
      last.current = to;
    }
  };
  const follow = (event: PointerEvent) => {
    const box = (layer.current as HTMLCanvasElement).getBoundingClientRect();
    const around = (stage.current as HTMLElement).getBoundingClientRect();
    const across = (size * box.width) / (sheet?.width ?? 1);
    if (ring.current) {
      Object.assign(ring.current.style, {
        width: `${across}px`,
        height: `${across}px`,
        transform: `translate(${event.clientX - around.left - across / 2}px, ${event.clientY - around.top - across / 2}px)`,
        opacity: event.pointerType === "touch" || tool === "hand" ? "0" : "1",
      });
    }
  };
  const undo = () => change((on) => on.undo());
  const redo = () => change((on) => on.redo());
  const save = async () => {
    if (!sheet) return;
    setSaving(true);
    try {
      const stem = mask.file.filename.replace(/\.[^.]+$/, "").replace(/-mask(?: \(\d+\))?$/, "");
      const { name, subfolder } = await server.upload(await sheet.alpha(), `${stem}-mask.png`, mask.file);
      await refreshCatalogue();
      showTab(mask.tab);
      writeWidget(mask.node, mask.widget, `${subfolder ? `${subfolder}/` : ""}${name}`, null, mask.path);
      settleStep();
      close();
    } catch (error) {
      setSaving(false);
      notify("error", "run.refused", error instanceof Error ? error.message : undefined, { tab: mask.tab });
    }
  };
  const press = (event: KeyboardEvent) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const act = command
      ? { z: event.shiftKey ? redo : undo, y: redo }[key]
      : {
          b: () => setTool("brush"),
          e: () => setTool("eraser"),
          h: () => setTool("hand"),
          "[": () => setSize((before) => Math.max(1, Math.round(before / 1.2))),
          "]": () => setSize((before) => Math.min(longest, Math.ceil(before * 1.2))),
          "+": () => zoomBy(1.3),
          "-": () => zoomBy(1 / 1.3),
          "0": reset,
        }[key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  useEffect(() => {
    // Listens on the window: a button that was just disabled leaves no element with the focus.
    window.addEventListener("keydown", press, true);
    return () => window.removeEventListener("keydown", press, true);
  });
  const button = (icon: IconName, label: string, act: () => void, disabled = false) => (
    <button type="button" className="icon-button" title={label} aria-label={label} disabled={disabled} onClick={act}>
      <Icon name={icon} />
    </button>
  );
  const choice = (name: Tool, icon: IconName, label: string, key: string) => (
    <button
      type="button"
      className="button"
      aria-pressed={tool === name}
      title={`${label} (${key})`}
      onClick={() => setTool(name)}
    >
      <Icon name={icon} /> {label}
    </button>
  );
  return (
    <Dialog title={t("mask.title")} onClose={close} wide>
      <div className="mask-painter">
        <div className="mask-tools" role="toolbar" aria-label={t("mask.title")}>
          {choice("brush", "brush", t("mask.brush"), "B")}
          {choice("eraser", "eraser", t("mask.eraser"), "E")}
          {choice("hand", "move", t("mask.hand"), "H")}
          <label title={`${t("mask.size")} ([ ])`}>
            {t("mask.size")}
            <input
              type="range"
              min={1}
              max={longest}
              value={size}
              onChange={(event) => setSize(Number(event.target.value))}
            />
          </label>
          <label>
            {t("mask.softness")}
            <input
              type="range"
              min={0}
              max={1}
              step={0.05}
              value={softness}
              onChange={(event) => setSoftness(Number(event.target.value))}
            />
          </label>
          <i className="divider" />
          {button("undo", `${t("app.undo")} (Ctrl+Z)`, undo, !sheet?.canUndo)}
          {button("redo", `${t("app.redo")} (Ctrl+Shift+Z)`, redo, !sheet?.canRedo)}
          {button("invert", t("mask.invert"), () => change((on) => on.invert()))}
          {button("trash", t("mask.clear"), () => change((on) => on.clear()))}
          <i className="divider" />
          {button("minusMagnifier", `${t("app.zoomOut")} (-)`, () => zoomBy(1 / 1.3))}
          {button("plusMagnifier", `${t("app.zoomIn")} (+)`, () => zoomBy(1.3))}
          {button("fit", `${t("app.fit")} (0)`, reset)}
        </div>
        <div
          ref={stage}
          className="mask-stage"
          data-tool={tool}
          onContextMenu={(event) => event.preventDefault()}
          onPointerMove={follow}
          onPointerLeave={() => ring.current?.style.setProperty("opacity", "0")}
          {...(tool === "hand" ? handlers : {})}
        >
          <div
            className="mask-sheet"
            style={
              {
                aspectRatio: sheet ? `${sheet.width} / ${sheet.height}` : "1",
                "--shape": sheet ? sheet.width / sheet.height : 1,
                transform: `translate(${place.x}px, ${place.y}px) scale(${place.zoom})`,
              } as React.CSSProperties
            }
          >
            <img src={viewUrl(mask.file, { channel: "rgb" })} alt={mask.file.filename} draggable={false} />
            <canvas
              ref={layer}
              tabIndex={0}
              data-first-focus
              role="img"
              aria-label={t("mask.title")}
              onPointerDown={(event) => {
                if (tool === "hand" || !sheet || !event.isPrimary) return;
                event.currentTarget.setPointerCapture(event.pointerId);
                sheet.begin();
                last.current = null;
                paint(event);
              }}
              onPointerMove={(event) => last.current && event.isPrimary && paint(event)}
              onPointerUp={() => {
                if (!last.current) return;
                last.current = null;
                sheet?.finish();
                changed();
              }}
              onPointerCancel={() => {
                if (!last.current) return;
                last.current = null;
                sheet?.finish();
                undo();
              }}
            />
          </div>
          <i className="mask-ring" ref={ring} />
        </div>
        <footer className="mask-foot">
          <p className="hint">{t("mask.hint")}</p>
          <button type="button" className="button" onClick={close}>
            {t("mask.cancel")}
          </button>
          <button type="button" className="button primary" disabled={!sheet || saving} onClick={() => void save()}>
            {t("mask.save")}
          </button>
        </footer>
      </div>
    </Dialog>
  );
}
