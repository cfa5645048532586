/** Reads the texts in a saved picture: PNG text chunks, EXIF in WebP and JPEG. */

/** The texts in a picture. `prompt` (API dialect) and `workflow` (editor dialect) are JSON. */
export type Texts = Partial<Record<Key, string>>;

type Key = "prompt" | "workflow";
const KEYS: ReadonlySet<string> = new Set<Key>(["prompt", "workflow"]);

export async function pictureTexts(data: ArrayBuffer): Promise<Texts> {
  const bytes = new Uint8Array(data);
  const view = new DataView(data);
  if (starts(bytes, 0, [0x89, 0x50, 0x4e, 0x47])) return pngTexts(bytes, view);
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return webpTexts(bytes, view);
  if (starts(bytes, 0, [0xff, 0xd8])) return jpegTexts(bytes, view);
  return {};
}

const starts = (bytes: Uint8Array, at: number, with_: number[]) =>
  with_.every((byte, index) => bytes[at + index] === byte);
const ascii = (bytes: Uint8Array, from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
const utf8 = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function pngTexts(bytes: Uint8Array, view: DataView): Promise<Texts> {
  const texts: Texts = {};
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = ascii(bytes, at + 4, at + 8);
    const body = bytes.subarray(at + 8, at + 8 + length);
    const end = body.indexOf(0);
    const key = utf8(body.subarray(0, Math.max(0, end))) as Key;
    if (end > 0 && KEYS.has(key)) {
      if (body.length < length) throw new Error("the picture is cut off in its text");
      if (kind === "tEXt") texts[key] = new TextDecoder("latin1").decode(body.subarray(end + 1));
      else if (kind === "zTXt") texts[key] = utf8(await inflated(body.subarray(end + 2)));
      else if (kind === "iTXt") texts[key] = await internationalText(body, end);
      // Some programs write UTF-8 into tEXt.
      if (kind === "tEXt") texts[key] = reread(body.subarray(end + 1), texts[key] as string);
    }
    if (kind === "IEND") break;
    at += 12 + length;
  }
  return texts;
}

function reread(bytes: Uint8Array, otherwise: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return otherwise; // Latin-1, according to the standard
  }
}

async function internationalText(body: Uint8Array, end: number): Promise<string> {
  const compressed = body[end + 1] === 1;
  const language = body.indexOf(0, end + 3);
  const translated = body.indexOf(0, language + 1);
  const text = body.subarray(translated + 1);
  return utf8(compressed ? await inflated(text) : text);
}

async function inflated(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function webpTexts(bytes: Uint8Array, view: DataView): Texts {
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (ascii(bytes, at, at + 4) === "EXIF") return exifTexts(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length + (length & 1);
  }
  return {};
}

function jpegTexts(bytes: Uint8Array, view: DataView): Texts {
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const length = view.getUint16(at + 2);
    if (bytes[at + 1] === 0xe1) return exifTexts(bytes.subarray(at + 4, at + 2 + length));
    at += 2 + length;
  }
  return {};
}

/** Texts `prompt:{…}` and `workflow:{…}` among the ASCII entries of the first directory. */
function exifTexts(exif: Uint8Array): Texts {
  const tiff = ascii(exif, 0, 4) === "Exif" ? exif.subarray(6) : exif;
  const texts: Texts = {};
  if (tiff.length < 8) return texts;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const little = tiff[0] === 0x49;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return texts;
  const count = view.getUint16(directory, little);
  for (let index = 0; index < count; index += 1) {
    const entry = directory + 2 + 12 * index;
    if (entry + 12 > tiff.length) break;
    if (![1, 2, 7].includes(view.getUint16(entry + 2, little))) continue; // bytes, ASCII, undefined
    const length = view.getUint32(entry + 4, little);
    const start = length <= 4 ? entry + 8 : view.getUint32(entry + 8, little);
    const text = utf8(tiff.subarray(start, start + length)).replace(/\0+$/, "");
    const [, key, value] = /^(prompt|workflow):([\s\S]*)$/i.exec(text) ?? [];
    if (key && value) texts[key.toLowerCase() as "prompt" | "workflow"] = value;
  }
  return texts;
}
