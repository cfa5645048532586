/** Paints the pictures of distant nodes: what they made or load; two that are compared share the place. */

import type { Geometry } from "../document/geometry";
import { annotated, type FileRef, picturesOf, thumbnailUrl } from "../server/client";
import type { NodeRun } from "../state/runs";

/** Smaller pictures on the screen, in pixels, are not worth a request. */
const LEAST = 16;
const MOST_KEPT = 300;

const kept = new Map<string, HTMLImageElement>();

/** The picture if it has been loaded; otherwise `arrived` is called once it is. */
function loaded(file: FileRef, arrived: () => void): HTMLImageElement | null {
  const address = thumbnailUrl(file);
  let image = kept.get(address);
  if (!image) {
    image = new Image();
    image.addEventListener("load", arrived);
    image.src = address;
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value as string);
    kept.set(address, image);
  }
  return image.complete && image.naturalWidth ? image : null;
}

/** The pictures to show for a node: one, or the two that it compares. */
function shownFor(place: Geometry, run: NodeRun | undefined): FileRef[] {
  const picker = place.widgets.find(({ input }) => input.widget === "image");
  if (picker) {
    const named = typeof picker.value === "string" && picker.value !== "" ? picker.value : null;
    return named === null ? [] : [annotated(named, picker.input.folder)];
  }
  const own = picturesOf(run?.output).slice(0, 1);
  if (own.length) return own;
  return ["a_images", "b_images"].flatMap((name) => picturesOf(run?.output, name).slice(0, 1));
}

export function paintPictures(
  context: CanvasRenderingContext2D,
  nodes: readonly { place: Geometry; run: NodeRun | undefined }[],
  zoom: number,
  line: string,
  arrived: () => void,
): void {
  for (const { place, run } of nodes) {
    if (!place.media || place.collapsed || place.media.height * zoom < LEAST) continue;
    const area = { x: place.x + 6, y: place.y + place.media.y, width: place.width - 12, height: place.media.height };
    const [first, second] = shownFor(place, run).map((file) => loaded(file, arrived));
    if (second) drawWhole(context, second, area);
    if (!first) continue;
    if (second === undefined) drawWhole(context, first, area);
    else compare(context, first, area, 2 / zoom, line);
  }
}

interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Draws the whole picture in the middle of an area. */
function drawWhole(context: CanvasRenderingContext2D, image: HTMLImageElement, area: Area): void {
  const scale = Math.min(area.width / image.naturalWidth, area.height / image.naturalHeight);
  const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
  context.drawImage(image, area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
}

/** Draws the picture over the left half of another one, up to a line. */
function compare(
  context: CanvasRenderingContext2D,
  image: HTMLImageElement,
  area: Area,
  thickness: number,
  line: string,
): void {
  const middle = area.x + area.width / 2;
  context.save();
  context.beginPath();
  context.rect(area.x, area.y, area.width / 2, area.height);
  context.clip();
  drawWhole(context, image, area);
  context.restore();
  context.fillStyle = line;
  context.fillRect(middle - thickness / 2, area.y, thickness, area.height);
}
