/** What a workflow needs that is not there: node types, model files and input pictures. */

import { type Doc, type GraphNode, type Level, subgraphs } from "./document";
import { mapEveryNode } from "./edits";
import { geometry } from "./geometry";
import type { InputDef } from "./schema";
import { type EditContext, setWidget, widgetViews } from "./widget_views";

export interface MissingNode {
  type: string;
  /** The run-time ids of the first use of each node, for example `5:12`. */
  places: string[];
  /** The pack in ComfyUI's registry that has it, or its repository `owner/name` on GitHub; from the file. */
  registry?: string;
  repository?: string;
  version?: string;
}

/** Where a file can be found, as the workflow says. */
export interface Source {
  url?: string;
  hash?: string;
  hashType?: string;
}

export interface MissingFile extends Source {
  name: string;
  /** The folder under models/; undefined: unknown, or a picture. */
  folder?: string;
  /** The names that the field offers, most similar first. */
  choices: string[];
  places: string[];
  /** An input picture of the folder `input` or `output`. */
  picture?: "input" | "output";
}

export interface Missing {
  nodes: MissingNode[];
  models: MissingFile[];
  /** Pictures that are not in the list of files. Those in subfolders may exist; ask the server. */
  pictures: MissingFile[];
}

export const MODEL_FILE = /\.(safetensors|sft|ckpt|pt2?|pth|bin|pkl|gguf|onnx)$/i;

/** Every level of a document with the run-time path that leads to its first use. */
function levels(doc: Doc): { level: Level; path: string }[] {
  const definitions = subgraphs(doc);
  const found: { level: Level; path: string }[] = [];
  const seen = new Set<string>();
  const walk = (level: Level, path: string): void => {
    found.push({ level, path });
    for (const node of level.nodes) {
      const inner = definitions.get(node.type);
      if (!inner || seen.has(inner.id)) continue;
      seen.add(inner.id);
      walk(inner, `${path}${node.id}:`);
    }
  };
  walk(doc, "");
  return found;
}

/** `embeddings`: the names that prompts can use, without endings; null: not known. */
export function missingIn(env: EditContext, embeddings: readonly string[] | null = null): Missing {
  const nodes = new Map<string, MissingNode>();
  const models = new Map<string, MissingFile>();
  const pictures = new Map<string, MissingFile>();
  const sources = listedModels(env.doc);
  for (const { level, path } of levels(env.doc)) {
    for (const node of level.nodes) {
      const id = `${path}${node.id}`;
      if (geometry(node, env).look === "unknown") addNode(nodes, node, id);
      for (const view of widgetViews(node, env)) {
        const { input, value } = view;
        if (embeddings && !view.linked && isText(input) && typeof value === "string") {
          for (const name of namedEmbeddings(value)) {
            if (!hasEmbedding(embeddings, name))
              addFile(models, { name, folder: EMBEDDINGS, choices: [...embeddings], places: [] }, id);
          }
        }
        if (view.linked || !input.choices || typeof value !== "string" || !value || input.options) continue;
        if (input.choices.includes(value)) continue;
        if (input.widget === "image") {
          addFile(pictures, { name: value, choices: names(input.choices), places: [], picture: input.folder }, id);
        } else if (input.modelFolder !== undefined || MODEL_FILE.test(value)) {
          const source = sourceOf(node, value) ?? sources.get(lastPart(value));
          addFile(
            models,
            {
              name: value,
              folder: input.modelFolder ?? source?.folder ?? FOLDERS[input.name],
              choices: names(input.choices),
              places: [],
              ...without(source),
            },
            id,
          );
        }
      }
    }
  }
  for (const file of [...models.values(), ...pictures.values()]) file.choices = bySimilarity(file.name, file.choices);
  return { nodes: [...nodes.values()], models: [...models.values()], pictures: [...pictures.values()] };
}

export const EMBEDDINGS = "embeddings";

const isText = ({ widget }: InputDef): boolean => widget === "multiline" || widget === "text";

/** A name in a prompt: up to white space, a comma, a weight or a bracket. */
const NAMED = /(?<![A-Za-z0-9_])embedding:\s*([^\s,:;|()[\]{}<>"“”，、；：。]+)/g;

/** The textual inversions that a prompt names (`embedding:NAME`), without endings. */
export const namedEmbeddings = (prompt: string): string[] => [
  ...new Set([...prompt.matchAll(NAMED)].map(([, name = ""]) => bare(name)).filter(Boolean)),
];

const bare = (name: string): string => name.replace(/\.(safetensors|pt|bin)$/i, "").replace(/[.!?'’]+$/, "");

/** A name without a folder also finds a file in a folder. */
const hasEmbedding = (known: readonly string[], name: string): boolean =>
  known.some((file) => bare(file) === name || (!name.includes("/") && bare(file).endsWith(`/${name}`)));

const names = (choices: readonly unknown[]): string[] =>
  choices.filter((choice): choice is string => typeof choice === "string");

function addNode(found: Map<string, MissingNode>, node: GraphNode, id: string): void {
  const known = found.get(node.type);
  if (known) {
    known.places.push(id);
    return;
  }
  const said = node.properties ?? {};
  const text = (name: string) => (typeof said[name] === "string" && said[name] ? (said[name] as string) : undefined);
  found.set(node.type, {
    type: node.type,
    places: [id],
    registry: text("cnr_id"),
    repository: text("aux_id"),
    version: text("ver"),
  });
}

function addFile(found: Map<string, MissingFile>, file: MissingFile, id: string): void {
  const key = `${file.folder ?? file.picture ?? ""}/${file.name}`;
  const known = found.get(key) ?? file;
  known.places.push(id);
  found.set(key, known);
}

type Listed = Source & { folder?: string };

const without = (source: Listed | undefined): Source => {
  const { url, hash, hashType } = source ?? {};
  return { ...(url && { url }), ...(hash && { hash }), ...(hashType && { hashType }) };
};

/** The node's own list of models, `properties.models`. */
const sourceOf = (node: GraphNode, value: string): Listed | undefined =>
  readListed(node.properties?.models).get(lastPart(value));

/** The file's list of models: `models` of the workflow or of its `extra`, and those of its nodes. */
function listedModels(doc: Doc): Map<string, Listed> {
  const lists = [
    doc.extra?.models,
    doc.models,
    ...levels(doc).flatMap(({ level }) => level.nodes.map((node) => node.properties?.models)),
  ];
  return new Map(lists.flatMap((list) => [...readListed(list)]));
}

function readListed(list: unknown): Map<string, Listed> {
  const found = new Map<string, Listed>();
  if (!Array.isArray(list)) return found;
  for (const entry of list as Record<string, unknown>[]) {
    const text = (name: string) => (typeof entry?.[name] === "string" ? (entry[name] as string) : undefined);
    const name = text("name");
    if (name === undefined) continue;
    const url = text("url");
    found.set(lastPart(name), {
      url: url !== undefined && /^https?:\/\//i.test(url) ? url : undefined,
      hash: text("hash"),
      hashType: text("hash_type"),
      folder: text("directory"),
    });
  }
  return found;
}

/** Folders by the usual names of inputs, for nodes that do not say which folder they list. */
const FOLDERS: Readonly<Record<string, string>> = {
  ckpt_name: "checkpoints",
  lora_name: "loras",
  vae_name: "vae",
  unet_name: "diffusion_models",
  clip_name: "text_encoders",
  clip_name1: "text_encoders",
  clip_name2: "text_encoders",
  control_net_name: "controlnet",
  style_model_name: "style_models",
  gligen_name: "gligen",
  hypernetwork_name: "hypernetworks",
};

const lastPart = (path: string): string => path.replace(/^.*[\\/]/, "");

/** A name without folders, ending and separators. */
const core = (name: string): string =>
  lastPart(name)
    .replace(/\.[^.]*$/, "")
    .toLowerCase()
    .replace(/[^\p{L}\d]+/gu, "");

const pairs = (text: string): string[] =>
  Array.from({ length: Math.max(0, text.length - 1) }, (_, at) => text.slice(at, at + 2));

/** How similar two file names are, from 0 to 1: the share of neighbouring letters that both have (Dice, 1945). */
export function similarity(one: string, other: string): number {
  const [first, second] = [core(one), core(other)];
  if (first === second) return 1;
  const left = pairs(first);
  const right = pairs(second);
  if (!left.length || !right.length) return 0;
  const rest = [...right];
  const shared = left.filter((pair) => {
    const at = rest.indexOf(pair);
    if (at >= 0) rest.splice(at, 1);
    return at >= 0;
  });
  return (2 * shared.length) / (left.length + right.length);
}

export const bySimilarity = (name: string, choices: readonly string[]): string[] =>
  choices
    .map((choice) => [choice, similarity(name, choice)] as const)
    .toSorted(([, one], [, other]) => other - one)
    .map(([choice]) => choice);

/** The document with other files in every field that names a missing one. */
export function withFiles(env: EditContext, instead: readonly { file: MissingFile; name: string }[]): Doc {
  return mapEveryNode(env.doc, (node) => {
    let changed = node;
    for (const view of widgetViews(node, env)) {
      const { input, value } = view;
      if (view.linked || typeof value !== "string") continue;
      if (isText(input)) {
        const next = withEmbeddings(value, instead);
        if (next !== value) changed = setWidget(changed, view.key, next, env);
        continue;
      }
      if (!input.choices || input.choices.includes(value)) continue;
      const found = instead.find(
        ({ file }) => file.name === value && (file.picture ? input.widget === "image" : input.widget !== "image"),
      );
      if (found && input.choices.includes(found.name)) changed = setWidget(changed, view.key, found.name, env);
    }
    return changed;
  });
}

/** A prompt with other textual inversions instead of missing ones. */
const withEmbeddings = (prompt: string, instead: readonly { file: MissingFile; name: string }[]): string =>
  prompt.replaceAll(NAMED, (whole, given: string) => {
    const found = instead.find(({ file }) => file.folder === EMBEDDINGS && file.name === bare(given));
    return found ? `embedding:${found.name}${/[.!?'’]+$/.exec(given)?.[0] ?? ""}` : whole;
  });

export const nothingMissing = ({ nodes, models, pictures }: Missing): boolean =>
  nodes.length + models.length + pictures.length === 0;
