/** The part of the server's HTTP interface that the editor uses. */

import type { AppForm } from "../document/app_fields";
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
  /** Whether it is the labelled grid of a sweep. */
  grid?: boolean;
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

/** What a sweep would do: its values, the pictures it makes, and how often each node runs. */
export interface SweepPlan {
  sweep: { node: string; input: string; values: unknown[]; labels: string[] }[];
  combinations: number;
  pictures: number;
  /** More pictures than this need a confirmation. */
  limit: number;
  runs: Record<string, number>;
}

/** One line of the list of all jobs. Times are in milliseconds. */
export interface JobLine {
  id: string;
  status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
  create_time: number;
  execution_start_time: number | null;
  execution_end_time: number | null;
  files: FileRef[];
  execution_error: Record<string, unknown> | null;
}

/** One line of the list of apps. */
export interface AppEntry {
  /** The path below the library's root, without its ending. */
  name: string;
  /** The path with its ending; examples have none. */
  file?: string;
  app: boolean;
  example: boolean;
  picture: boolean;
  modified: number;
}

/** A saved workflow with its form, and the descriptions of the nodes it uses. */
export interface SavedApp extends AppForm {
  name: string;
  file?: string;
  workflow: unknown;
  nodes: Record<string, RawNodeDef>;
}

/** A file's workflow in the API dialect, and what it lacks of another program's file. */
export interface Converted {
  prompt: ApiWorkflow;
  workflow?: unknown;
  notes: string[];
}

/** A model file as the server describes it. */
export interface ModelFile {
  /** Relative to its folder. */
  name: string;
  /** In bytes. */
  size: number;
  /** In seconds since the epoch. */
  modified: number;
  /** What the file holds, such as `lora`; null: unknown. */
  kind: string | null;
  /** The family of models, such as SDXL; null: unknown. */
  family: string | null;
  /** Trigger words, most frequent first. */
  words: string[];
  notes: Record<string, string>;
  /** Whether a picture is beside the file. */
  preview: boolean;
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details = "",
    readonly nodeErrors: NodeErrors = {},
    /** The node that caused the refusal, for example one of an unknown class. */
    readonly node?: string,
    /** The type of the error, with the values in its message. */
    readonly about: Readonly<Record<string, unknown>> = {},
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
    // An error page of a proxy: the status is enough.
  }
  const error = typeof said.error === "string" ? { message: said.error } : (said.error ?? {});
  throw new Refused(
    response.status,
    error.message ?? `${response.status} ${response.statusText}`,
    error.details,
    said.node_errors,
    nodeOf(error),
    { type: error.type, ...error.extra_info },
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
  queue: () =>
    json<{ queue_running: QueueItem[]; queue_pending: QueueItem[]; paused?: boolean; may_pause?: boolean }>("queue"),
  changeQueue: (change: Record<string, unknown>) => request("queue", posted(change)),
  interrupt: (promptId?: string) => request("interrupt", posted(promptId ? { prompt_id: promptId } : {})),
  submit: (body: Record<string, unknown>) =>
    json<{ prompt_id: string; number: number; node_errors: NodeErrors }>("prompt", posted(body)),
  /** Throws Refused for a sweep that cannot run. */
  planSweep: (body: Record<string, unknown>) => json<SweepPlan>("sweep/plan", posted(body)),
  /** How one ended prompt was made and its outputs; undefined if the server does not know it any more. */
  entry: async (promptId: string) =>
    (await json<Record<string, HistoryEntry>>(`history/${encodeURIComponent(promptId)}`))[promptId],
  forget: (promptIds: string[]) => request("history", posted({ delete: promptIds })),
  /** Newest first. */
  jobs: (statuses: JobLine["status"][], limit: number, offset = 0, more: Record<string, string> = {}) =>
    json<{ jobs: JobLine[]; pagination: { total: number; has_more: boolean } }>(
      `jobs?${new URLSearchParams({ status: statuses.join(), limit: String(limit), offset: String(offset), ...more })}`,
    ),
  /** Delete files that prompts of the history have saved. */
  deleteFiles: (files: (FileRef & { prompt_id: string })[]) => request("saved_files/delete", posted({ files })),
  /** Whether a worker is ready to run prompts. */
  isReady: async () => (await fetch("api/readyz")).ok,
  job: (promptId: string) => json<JobState>(`jobs/${encodeURIComponent(promptId)}`),
  settings: () => json<Record<string, unknown>>("settings"),
  /** Add pictures to the favourites, or remove them; returns all favourites. */
  markFavourites: (pictures: readonly FileRef[], favourite: boolean) =>
    json<FileRef[]>("favourites", posted({ pictures, favourite })),
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
  /** The form that a workflow has as an app. */
  appForm: (workflow: unknown) => json<AppForm>("apps/fields", posted({ workflow })),
  apps: () => json<AppEntry[]>("apps?fields=false"),
  app: (name: string) => json<SavedApp>(`apps/${encodedPath(name)}`),
  /** Store a saved workflow's latest picture, which stands for it in the list of apps. */
  keepAppPicture: (name: string, picture: Blob) =>
    request(`userdata/${encodeURIComponent(`app_pictures/${name}.webp`)}`, { method: "POST", body: picture }),
  /** The workflow in a file that only the server reads, such as another program's picture. */
  convert: (file: Blob) => json<Converted>("convert", { method: "POST", body: file }),
  /** The kinds of model files, by the names of their folders. */
  modelFolders: () => json<string[]>("models"),
  modelFiles: (folder: string) => json<ModelFile[]>(`model_files/${encodeURIComponent(folder)}`),
  /** The names of textual inversions, as prompts use them. */
  embeddings: () => json<string[]>("embeddings"),
  /** Whether a picture exists. */
  has: async (file: FileRef) => (await fetch(viewUrl(file), { method: "HEAD" })).ok,
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

const encodedPath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

export const appPictureUrl = (name: string): string => `api/apps/${encodedPath(name)}/picture`;

export function viewUrl(file: FileRef, more: Record<string, string> = {}): string {
  const { filename, subfolder = "", type = "output" } = file;
  return `api/view?${new URLSearchParams({ filename, subfolder, type, ...more })}`;
}

export const modelPreviewUrl = (folder: string, name: string): string =>
  `api/model_files/${encodeURIComponent(folder)}/preview?${new URLSearchParams({ filename: name })}`;

/** A small, light preview with no side longer than 320 px. */
export const thumbnailUrl = (file: FileRef): string => viewUrl(file, { preview: "webp;80", longest: "320" });

export const fileKey = (file: FileRef): string => `${file.type ?? "output"}/${file.subfolder ?? ""}/${file.filename}`;

/** `masks/a.png [input]` as a reference. */
export function annotated(name: string, folder = "input"): FileRef {
  const [, path = name, type = folder] = /^(.*?)(?: \[(input|output|temp)\])?$/s.exec(name) ?? [];
  const cut = path.lastIndexOf("/");
  return { filename: path.slice(cut + 1), subfolder: cut < 0 ? "" : path.slice(0, cut), type: type || folder };
}

/** The texts in a node's output data. */
export function textsOf(output: Output | undefined): string[] {
  const texts = output?.text;
  if (typeof texts === "string") return [texts];
  return Array.isArray(texts)
    ? texts.flat().filter((text): text is string => typeof text === "string" && text !== "")
    : [];
}

/** The pictures under a name in a node's output data. */
export function picturesOf(output: Output | undefined, name = "images"): FileRef[] {
  const images = output?.[name];
  return Array.isArray(images)
    ? gridsFirst(images.filter((image): image is FileRef => typeof (image as FileRef)?.filename === "string"))
    : [];
}

/** The grid of a sweep before the pictures in it. */
export const gridsFirst = (files: readonly FileRef[]): FileRef[] =>
  files.some((file) => file.grid) ? [...files].sort((a, b) => Number(!!b.grid) - Number(!!a.grid)) : [...files];
