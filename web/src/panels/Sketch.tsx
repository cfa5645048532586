/** A workflow as a small picture. */

import { useEffect, useRef } from "react";
import { linkPaths, places, trace } from "../canvas/links";
import { colors, typeColor } from "../canvas/palette";
import type { Doc } from "../graph/document";
import { bounds } from "../graph/geometry";
import { useEditor } from "../state/editor";
import { useUi } from "../state/ui";

const WIDTH = 128;
const HEIGHT = 76;

export function Sketch({ doc }: { doc: Doc }) {
  const layer = useRef<HTMLCanvasElement>(null);
  const catalogue = useEditor((state) => state.catalogue);
  const theme = useUi((state) => state.theme);
  useEffect(() => {
    const context = layer.current?.getContext("2d");
    const around = { doc, catalogue };
    const nodes = [...places(doc, around).values()];
    const box = bounds(nodes);
    if (!context || !box) return;
    const zoom = 2 * Math.min((WIDTH - 16) / box.width, (HEIGHT - 16) / box.height);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, 2 * WIDTH, 2 * HEIGHT);
    context.setTransform(zoom, 0, 0, zoom, WIDTH - (box.x + box.width / 2) * zoom, HEIGHT - (box.y + box.height / 2) * zoom);
    context.lineWidth = 2.5 / zoom;
    for (const { route, color } of linkPaths(doc, around)) {
      const path = new Path2D();
      trace(path, route);
      context.strokeStyle = typeColor(color);
      context.stroke(path);
    }
    context.fillStyle = colors().faint;
    for (const place of nodes) {
      context.beginPath();
      context.roundRect(place.x, place.y, place.width, place.height, 16);
      context.fill();
    }
  }, [doc, catalogue, theme]);
  return <canvas ref={layer} className="sketch" width={2 * WIDTH} height={2 * HEIGHT} />;
}
