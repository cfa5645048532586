/** Reads the workflow in a file of any kind: JSON, a picture, a latent or a model. */

import { pictureTexts, type Texts } from "./picture";

/** The file is valid but holds no workflow that the editor reads itself. */
export class NoWorkflow extends Error {
  constructor(readonly kind: "picture" | "file") {
    super(`no workflow in this ${kind}`);
  }
}

const PICTURES: readonly (readonly number[])[] = [
  [0x89, 0x50, 0x4e, 0x47], // PNG
  [0xff, 0xd8, 0xff], // JPEG
  [0x47, 0x49, 0x46, 0x38], // GIF
  [0x42, 0x4d], // BMP
];

/** JSON text. The content decides, not the file name. Throws NoWorkflow. */
export async function workflowText(file: Blob): Promise<string> {
  const head = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const begins = (mark: readonly number[]) => mark.every((byte, index) => head[index] === byte);
  const isWebp = begins([0x52, 0x49, 0x46, 0x46]) && String.fromCharCode(...head.subarray(8, 12)) === "WEBP";
  const isPicture =
    isWebp || PICTURES.some(begins) || (file.type.startsWith("image/") && file.type !== "image/svg+xml");
  if (isPicture) return chosen(await pictureTexts(await file.arrayBuffer()), "picture");
  const length = head.length >= 9 ? Number(new DataView(head.buffer).getBigUint64(0, true)) : 0;
  if (length > 1 && length <= file.size - 8 && head[8] === 0x7b)
    return chosen(await safetensorsTexts(file, length), "file");
  return file.text();
}

function chosen(texts: Texts, kind: "picture" | "file"): string {
  const text = texts.workflow ?? texts.prompt;
  if (text !== undefined) return text;
  throw new NoWorkflow(kind);
}

/** Saved latents and models hold texts in the header of their tensors. */
async function safetensorsTexts(file: Blob, length: number): Promise<Texts> {
  const header = JSON.parse(await file.slice(8, 8 + length).text()) as { __metadata__?: Texts };
  return header.__metadata__ ?? {};
}
