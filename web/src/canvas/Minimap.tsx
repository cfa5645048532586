/** A small overview of the open level, with the visible part marked. */

import { useEffect, useRef } from "react";
import type { Level } from "../document/document";
import { bounds, geometry, placedNodes } from "../document/geometry";
import type { EditContext } from "../document/widget_views";
import type { View } from "../state/editor";
import { colors } from "./palette";
import { stage } from "./stage";

const WIDTH = 180;
const HEIGHT = 120;
const PAD = 8;

interface Props {
  level: Level;
  env: EditContext;
  view: React.RefObject<View>;
  size: React.RefObject<{ width: number; height: number }>;
}

export function Minimap({ level, env, view, size }: Props) {
  const layer = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const scale = useRef({ zoom: 1, x: 0, y: 0 });

  useEffect(() => {
    const context = layer.current?.getContext("2d");
    const box = bounds(placedNodes(level).map((node) => geometry(node, env)));
    if (!context) return;
    const ratio = Math.min(2, window.devicePixelRatio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    if (!box) return;
    const zoom = Math.min((WIDTH - 2 * PAD) / box.width, (HEIGHT - 2 * PAD) / box.height, 0.2);
    scale.current = {
      zoom,
      x: (WIDTH - box.width * zoom) / 2 - box.x * zoom,
      y: (HEIGHT - box.height * zoom) / 2 - box.y * zoom,
    };
    const palette = colors();
    for (const node of placedNodes(level)) {
      const place = geometry(node, env);
      context.fillStyle = /^#[0-9a-f]{3,8}$/i.test(node.color ?? "") ? (node.color as string) : palette.faint;
      context.globalAlpha = 0.55;
      context.fillRect(
        place.x * zoom + scale.current.x,
        place.y * zoom + scale.current.y,
        Math.max(2, place.width * zoom),
        Math.max(2, place.height * zoom),
      );
    }
    context.globalAlpha = 1;
  }, [level, env]);

  useEffect(() => {
    let last = "";
    let handle = 0;
    const follow = () => {
      const { x, y, zoom } = view.current;
      const { zoom: small, x: left, y: top } = scale.current;
      const at = `${(-x / zoom) * small + left},${(-y / zoom) * small + top},${(size.current.width / zoom) * small},${(size.current.height / zoom) * small}`;
      if (at !== last && frame.current) {
        last = at;
        const [px, py, width, height] = at.split(",").map(Number) as [number, number, number, number];
        const [right, bottom] = [Math.min(WIDTH, px + width), Math.min(HEIGHT, py + height)];
        const [fromX, fromY] = [Math.max(0, px), Math.max(0, py)];
        Object.assign(frame.current.style, {
          transform: `translate(${fromX}px, ${fromY}px)`,
          width: `${Math.max(4, right - fromX)}px`,
          height: `${Math.max(4, bottom - fromY)}px`,
        });
      }
      handle = requestAnimationFrame(follow);
    };
    handle = requestAnimationFrame(follow);
    return () => cancelAnimationFrame(handle);
  }, [view, size]);

  const go = (event: React.PointerEvent<HTMLDivElement>) => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const { zoom: small, x: left, y: top } = scale.current;
    const x = (event.clientX - box.left - left) / small;
    const y = (event.clientY - box.top - top) / small;
    const { zoom } = view.current;
    stage?.setView({ zoom, x: size.current.width / 2 - x * zoom, y: size.current.height / 2 - y * zoom });
  };

  const ratio = Math.min(2, window.devicePixelRatio);
  return (
    <div
      className="minimap"
      aria-hidden="true"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        go(event);
      }}
      onPointerMove={go}
    >
      <canvas ref={layer} width={WIDTH * ratio} height={HEIGHT * ratio} style={{ width: WIDTH, height: HEIGHT }} />
      <div ref={frame} className="minimap-view" />
    </div>
  );
}
