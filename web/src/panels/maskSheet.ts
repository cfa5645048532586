/** The bitmap that a mask is painted on: strokes, undo history, and the resulting picture. */

export interface Brush {
  /** Diameter, in pixels of the picture. */
  size: number;
  /** 0: a hard edge, 1: soft to the centre. */
  softness: number;
  erasing: boolean;
}

export interface Point {
  x: number;
  y: number;
}

interface Step {
  x: number;
  y: number;
  before: ImageData;
  after: ImageData;
}

/** Bytes of pixels kept for undo and redo. */
const MOST_KEPT = 256 * 2 ** 20;
const PAINT = "#5b3bff";
const CLEAR = "#5b3bff00";

export class MaskSheet {
  private readonly context: CanvasRenderingContext2D;
  private readonly earlier: CanvasRenderingContext2D;
  private past: Step[] = [];
  private future: Step[] = [];
  private touched: { left: number; top: number; right: number; bottom: number } | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    readonly width: number,
    readonly height: number,
  ) {
    [canvas.width, canvas.height] = [width, height];
    this.context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
    this.earlier = blank(width, height);
  }

  /** Start with the transparent parts of a picture. */
  load(alpha: CanvasImageSource): void {
    this.context.fillStyle = PAINT;
    this.context.fillRect(0, 0, this.width, this.height);
    this.context.globalCompositeOperation = "destination-out";
    this.context.drawImage(alpha, 0, 0);
    this.context.globalCompositeOperation = "source-over";
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  begin(): void {
    this.remember();
    this.touched = null;
  }

  stroke(from: Point, to: Point, brush: Brush): void {
    const { context } = this;
    const radius = Math.max(0.5, brush.size / 2);
    context.globalCompositeOperation = brush.erasing ? "destination-out" : "source-over";
    if (brush.softness === 0) {
      context.lineCap = "round";
      context.lineWidth = brush.size;
      context.strokeStyle = PAINT;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x + 0.01, to.y);
      context.stroke();
    } else {
      const count = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(0.5, radius / 5)));
      for (let index = 1; index <= count; index += 1) {
        const [x, y] = [from.x + ((to.x - from.x) * index) / count, from.y + ((to.y - from.y) * index) / count];
        const soft = context.createRadialGradient(x, y, radius * (1 - brush.softness), x, y, radius);
        soft.addColorStop(0, PAINT);
        soft.addColorStop(1, CLEAR);
        context.fillStyle = soft;
        context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
      }
    }
    context.globalCompositeOperation = "source-over";
    const [left, top] = [Math.min(from.x, to.x) - radius - 1, Math.min(from.y, to.y) - radius - 1];
    const [right, bottom] = [Math.max(from.x, to.x) + radius + 1, Math.max(from.y, to.y) + radius + 1];
    const known = this.touched ?? { left, top, right, bottom };
    this.touched = {
      left: Math.min(known.left, left),
      top: Math.min(known.top, top),
      right: Math.max(known.right, right),
      bottom: Math.max(known.bottom, bottom),
    };
  }

  finish(): void {
    if (!this.touched) return;
    const left = Math.max(0, Math.floor(this.touched.left));
    const top = Math.max(0, Math.floor(this.touched.top));
    const width = Math.min(this.width, Math.ceil(this.touched.right)) - left;
    const height = Math.min(this.height, Math.ceil(this.touched.bottom)) - top;
    this.touched = null;
    if (width > 0 && height > 0) this.keep(left, top, width, height);
  }

  clear(): void {
    this.remember();
    this.context.clearRect(0, 0, this.width, this.height);
    this.keep(0, 0, this.width, this.height);
  }

  invert(): void {
    this.remember();
    this.context.globalCompositeOperation = "xor";
    this.context.fillStyle = PAINT;
    this.context.fillRect(0, 0, this.width, this.height);
    this.context.globalCompositeOperation = "source-over";
    this.keep(0, 0, this.width, this.height);
  }

  undo(): void {
    const step = this.past.pop();
    if (!step) return;
    this.context.putImageData(step.before, step.x, step.y);
    this.future.push(step);
  }

  redo(): void {
    const step = this.future.pop();
    if (!step) return;
    this.context.putImageData(step.after, step.x, step.y);
    this.past.push(step);
  }

  /** A picture that is transparent where the mask is painted: the server copies its alpha to the original. */
  async alpha(): Promise<Blob> {
    const paper = blank(this.width, this.height);
    paper.fillStyle = "#fff";
    paper.fillRect(0, 0, this.width, this.height);
    paper.globalCompositeOperation = "destination-out";
    paper.drawImage(this.canvas, 0, 0);
    return new Promise((resolve, reject) =>
      paper.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("PNG"))), "image/png"),
    );
  }

  private remember(): void {
    this.earlier.clearRect(0, 0, this.width, this.height);
    this.earlier.drawImage(this.canvas, 0, 0);
  }

  private keep(x: number, y: number, width: number, height: number): void {
    const step = {
      x,
      y,
      before: this.earlier.getImageData(x, y, width, height),
      after: this.context.getImageData(x, y, width, height),
    };
    this.future = [];
    this.past.push(step);
    const bytes = () => this.past.reduce((sum, { before }) => sum + 2 * before.data.byteLength, 0);
    while (this.past.length > 1 && bytes() > MOST_KEPT) this.past.shift();
  }
}

function blank(width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
}
