/**
 * A workflow in the form of its file. The parsed document is the state: an edit copies the objects on the path to
 * the change and shares the rest, so data that the editor does not know is preserved.
 */

export type Id = number | string;

export interface InputSlot {
  name: string;
  type: string;
  link?: Id | null;
  widget?: { name: string };
  label?: string;
  [key: string]: unknown;
}

export interface OutputSlot {
  name: string;
  type: string;
  links?: Id[] | null;
  slot_index?: number;
  label?: string;
  [key: string]: unknown;
}

export interface GraphNode {
  id: Id;
  type: string;
  pos?: Pair;
  size?: Pair;
  flags?: { collapsed?: boolean; [key: string]: unknown };
  order?: number;
  mode?: number;
  inputs?: InputSlot[];
  outputs?: OutputSlot[];
  properties?: { [key: string]: unknown };
  widgets_values?: unknown[] | { [name: string]: unknown };
  title?: string;
  color?: string;
  bgcolor?: string;
  [key: string]: unknown;
}

export type Pair = [number, number] | { [index: string]: number };

export interface LinkRecord {
  id: Id;
  origin_id: Id;
  origin_slot: number;
  target_id: Id;
  target_slot: number;
  type: string;
  [key: string]: unknown;
}

export type RawLink = [Id, Id, number, Id, number, string, ...unknown[]] | LinkRecord;

export interface Group {
  id?: Id;
  title: string;
  bounding: [number, number, number, number];
  color?: string;
  [key: string]: unknown;
}

/** The root of a workflow, or the inside of a subgraph. */
export interface Level {
  nodes: GraphNode[];
  links: RawLink[];
  groups?: Group[];
  [key: string]: unknown;
}

export interface Port {
  id: string;
  name: string;
  type: string;
  linkIds?: Id[];
  label?: string;
  [key: string]: unknown;
}

export interface Subgraph extends Level {
  id: string;
  name: string;
  inputs: Port[];
  outputs: Port[];
  inputNode: { id: Id; bounding?: number[] };
  outputNode: { id: Id; bounding?: number[] };
}

export interface Doc extends Level {
  version?: number;
  definitions?: { subgraphs?: Subgraph[]; [key: string]: unknown };
  extra?: { [key: string]: unknown };
}

export const NORMAL = 0;
export const MUTED = 2;
export const BYPASSED = 4;

export const NOTES: ReadonlySet<string> = new Set(["Note", "MarkdownNote", "MarkdownNode"]);

export function pair(value: Pair | undefined, fallback: [number, number]): [number, number] {
  const [first, second] =
    value === undefined || value === null ? fallback : [(value as number[])[0], (value as number[])[1]];
  return [Number(first ?? fallback[0]), Number(second ?? fallback[1])];
}

export const position = (node: GraphNode): [number, number] => pair(node.pos, [0, 0]);

export function emptyDocument(): Doc {
  return {
    last_node_id: 0,
    last_link_id: 0,
    nodes: [],
    links: [],
    groups: [],
    config: {},
    extra: { ds: { scale: 1, offset: [0, 0] } },
    version: 0.4,
  };
}

const nodeIndexes = new WeakMap<GraphNode[], Map<string, GraphNode>>();

/** The nodes of a level by id, as text: files write 3 and "3" for the same node. */
export function nodesById(level: Level): Map<string, GraphNode> {
  let index = nodeIndexes.get(level.nodes);
  if (index === undefined) {
    index = new Map(level.nodes.map((node) => [String(node.id), node]));
    nodeIndexes.set(level.nodes, index);
  }
  return index;
}

const linkViews = new WeakMap<RawLink[], LinkRecord[]>();

/** The links of a level in one form, whichever form the file uses. */
export function linksOf(level: Level): LinkRecord[] {
  const links = level.links ?? NO_LINKS;
  let view = linkViews.get(links);
  if (view === undefined) {
    view = links.filter((link) => link !== null).map(readLink);
    linkViews.set(links, view);
  }
  return view;
}

const NO_LINKS: RawLink[] = [];

function readLink(link: RawLink): LinkRecord {
  if (!Array.isArray(link)) return link;
  const [id, origin_id, origin_slot, target_id, target_slot, type] = link;
  return { id, origin_id, origin_slot, target_id, target_slot, type: typeof type === "string" ? type : "*" };
}

const linkIndexes = new WeakMap<LinkRecord[], Map<string, LinkRecord>>();

export function linksById(level: Level): Map<string, LinkRecord> {
  const links = linksOf(level);
  let index = linkIndexes.get(links);
  if (index === undefined) {
    index = new Map(links.map((link) => [String(link.id), link]));
    linkIndexes.set(links, index);
  }
  return index;
}

/** All subgraphs that a document defines, including nested definitions, by id. */
export function subgraphs(doc: Doc): Map<string, Subgraph> {
  const key = doc.definitions;
  if (!key) return NONE;
  const cached = definitionIndexes.get(key);
  if (cached) return cached;
  const found = new Map<string, Subgraph>();
  const pending: Doc[] = [doc];
  for (let holder = pending.pop(); holder !== undefined; holder = pending.pop()) {
    for (const definition of holder.definitions?.subgraphs ?? []) {
      if (found.has(definition.id)) continue;
      found.set(definition.id, definition);
      pending.push(definition as unknown as Doc);
    }
  }
  definitionIndexes.set(key, found);
  return found;
}

const NONE: Map<string, Subgraph> = new Map();
const definitionIndexes = new WeakMap<object, Map<string, Subgraph>>();

/** Two socket types match if one is "*" or if they share a name. */
export function fits(inputType: string, outputType: string): boolean {
  if (inputType === outputType || inputType === "*" || outputType === "*" || !inputType || !outputType) return true;
  if (!inputType.includes(",") && !outputType.includes(",")) return false;
  const offered = outputType.split(",");
  return inputType.split(",").some((name) => offered.includes(name));
}

/** Whether this is a workflow in the editor's dialect. */
export function isDocument(value: unknown): value is Doc {
  return typeof value === "object" && value !== null && Array.isArray((value as Doc).nodes);
}
