/** The server's HTTP interface, as far as the editor uses it. */

import { parseJson, writeJson } from "../document/json";
import { type RawNodeDef, readCatalogue } from "../document/schema";
import type { ApiWorkflow } from "../format/api";

export interface Problem {
  type: string;
  message: string;
  details: string;
  extra_info?: { input_name?: string; [key: string]: unknown };
}

export type NodeErrors = Record<string, { errors: Problem[]; dependent_outputs: string[]; class_type: string }>;

export interface FileRef {
  filename: string;
  subfolder?: string;
  type?: string;
}

export type Output = Record<string, unknown>;

export type QueueItem = [
  number: number,
  promptId: string,
  prompt: ApiWorkflow,
  extra: Record<string, unknown>,
  outputs: string[],
];

export interface HistoryEntry {
  prompt: QueueItem;
  outputs: Record<string, Output>;
  status: { status_str: string; completed: boolean; messages: [string, Record<string, unknown>][] };
}

export interface JobState {
  prompt_id: string;
  status: "pending" | "running" | "success" | "error" | "interrupted";
  progress: number;
  node: string | null;
  timings: Record<string, number>;
  cached: string[];
  outputs: Record<string, Output>;
  error: Record<string, unknown> | null;
}

/** One line of the list of all jobs. Times are milliseconds. */
export interface JobLine {
  id: string;
  status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
  create_time: number;
  execution_start_time: number | null;
  execution_end_time: number | null;
  files: FileRef[];
  execution_error: Record<string, unknown> | null;
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details = "",
    readonly nodeErrors: NodeErrors = {},
    /** The node that the whole refusal is about, one of an unknown class for one. */
    readonly node?: string,
  ) {
    super(message);
  }
}

async function request(path: string, options?: RequestInit): Promise<Response> {
  const response = await fetch(`api/${path}`, options);
  if (response.ok) return response;
  const text = await response.text();
  let said: { error?: Partial<Problem> | string; node_errors?: NodeErrors } = {};
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    // A proxy's page: the status says enough.
  }
  const error = typeof said.error === "string" ? { message: said.error } : (said.error ?? {});
  throw new Refused(
    response.status,
    error.message ?? `${response.status} ${response.statusText}`,
    error.details,
    said.node_errors,
    nodeOf(error),
  );
}

const nodeOf = ({ extra_info }: Partial<Problem>): string | undefined =>
  typeof extra_info?.node_id === "string" ? extra_info.node_id : undefined;

async function json<T>(path: string, options?: RequestInit): Promise<T> {
  return parseJson(await (await request(path, options)).text()) as T;
}

const posted = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: writeJson(body),
});

export const server = {
  catalogue: async () => readCatalogue(await json<Record<string, RawNodeDef>>("object_info")),
  queue: () => json<{ queue_running: QueueItem[]; queue_pending: QueueItem[]; paused?: boolean }>("queue"),
  changeQueue: (change: Record<string, unknown>) => request("queue", posted(change)),
  interrupt: (promptId?: string) => request("interrupt", posted(promptId ? { prompt_id: promptId } : {})),
  submit: (body: Record<string, unknown>) =>
    json<{ prompt_id: string; number: number; node_errors: NodeErrors }>("prompt", posted(body)),
  /** What one prompt that has ended was and made; undefined if it is not known any more. */
  entry: async (promptId: string) =>
    (await json<Record<string, HistoryEntry>>(`history/${encodeURIComponent(promptId)}`))[promptId],
  forget: (promptIds: string[]) => request("history", posted({ delete: promptIds })),
  /** Newest first. */
  jobs: (statuses: JobLine["status"][], limit: number, offset = 0) =>
    json<{ jobs: JobLine[]; pagination: { total: number; has_more: boolean } }>(
      `jobs?status=${statuses.join()}&limit=${limit}&offset=${offset}`,
    ),
  /** Whether a worker is there to take what is queued. */
  isReady: async () => (await fetch("api/readyz")).ok,
  job: (promptId: string) => json<JobState>(`jobs/${encodeURIComponent(promptId)}`),
  settings: () => json<Record<string, unknown>>("settings"),
  set: (name: string, value: unknown) => request(`settings/${encodeURIComponent(name)}`, posted(value)),
  async workflows(): Promise<{ path: string; size: number; modified: number }[]> {
    try {
      return await json("userdata?dir=workflows&recurse=true&full_info=true");
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return []; // nothing saved yet
      throw error;
    }
  },
  readFile: async (path: string) => (await request(`userdata/${encodeURIComponent(path)}`)).text(),
  writeFile: (path: string, text: string, overwrite = true) =>
    request(`userdata/${encodeURIComponent(path)}?overwrite=${overwrite}`, { method: "POST", body: text }),
  deleteFile: (path: string) => request(`userdata/${encodeURIComponent(path)}`, { method: "DELETE" }),
  moveFile: (from: string, to: string, overwrite: boolean) =>
    request(`userdata/${encodeURIComponent(from)}/move/${encodeURIComponent(to)}?overwrite=${overwrite}`, {
      method: "POST",
    }),
  upload(file: Blob, name: string, mask?: FileRef): Promise<{ name: string; subfolder: string; type: string }> {
    const form = new FormData();
    form.append("image", file, name);
    form.append("type", "input");
    if (mask) {
      form.append("subfolder", "masks");
      form.append("original_ref", JSON.stringify(mask));
    }
    return json(mask ? "upload/mask" : "upload/image", { method: "POST", body: form });
  },
};

export function viewUrl(file: FileRef, more: Record<string, string> = {}): string {
  const { filename, subfolder = "", type = "output" } = file;
  return `api/view?${new URLSearchParams({ filename, subfolder, type, ...more })}`;
}

/** Small and light, with no side longer than 320. */
export const thumbnailUrl = (file: FileRef): string => viewUrl(file, { preview: "webp;80", longest: "320" });

export const fileKey = (file: FileRef): string => `${file.type ?? "output"}/${file.subfolder ?? ""}/${file.filename}`;

/** `masks/a.png [input]` as a reference. */
export function annotated(name: string, folder = "input"): FileRef {
  const [, path = name, type = folder] = /^(.*?)(?: \[(input|output|temp)\])?$/s.exec(name) ?? [];
  const cut = path.lastIndexOf("/");
  return { filename: path.slice(cut + 1), subfolder: cut < 0 ? "" : path.slice(0, cut), type: type || folder };
}

/** The texts among what a node has to show. */
export function textsOf(output: Output | undefined): string[] {
  const texts = output?.text;
  if (typeof texts === "string") return [texts];
  return Array.isArray(texts)
    ? texts.flat().filter((text): text is string => typeof text === "string" && text !== "")
    : [];
}

/** The pictures among what a node has to show. */
export function picturesOf(output: Output | undefined): FileRef[] {
  const images = output?.images;
  return Array.isArray(images)
    ? images.filter((image): image is FileRef => typeof (image as FileRef)?.filename === "string")
    : [];
}
