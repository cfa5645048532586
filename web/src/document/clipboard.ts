/** Copies nodes and groups as text, with the links among them, and pastes them with new ids. */

import {
  type Doc,
  type GraphNode,
  type Group,
  type Level,
  type LinkRecord,
  linksOf,
  position,
  type Subgraph,
  subgraphs,
} from "./document";
import { addGroup, addNode, connect, nextNodeId } from "./edits";
import { parseJson, writeJson } from "./json";
import { freeSpot } from "./new_nodes";

interface Clip {
  sumi: 1;
  nodes: GraphNode[];
  links: LinkRecord[];
  groups?: Group[];
  subgraphs?: Subgraph[];
}

export function copied(doc: Doc, level: Level, ids: ReadonlySet<string>, groups: ReadonlySet<number>): string {
  const nodes = level.nodes.filter((node) => ids.has(String(node.id)));
  const links = linksOf(level).filter((link) => ids.has(String(link.origin_id)) && ids.has(String(link.target_id)));
  const definitions = definitionsFor(doc, nodes);
  const framed = (level.groups ?? []).filter((_, index) => groups.has(index));
  const clip: Clip = { sumi: 1, nodes, links, groups: framed, subgraphs: definitions };
  return writeJson(clip);
}

/** The subgraph definitions of these nodes, including nested ones. */
function definitionsFor(doc: Doc, nodes: GraphNode[]): Subgraph[] {
  const found = new Set<Subgraph>();
  const pending = [nodes];
  for (let level = pending.pop(); level !== undefined; level = pending.pop()) {
    for (const { type } of level) {
      const definition = subgraphs(doc).get(type);
      if (!definition || found.has(definition)) continue;
      found.add(definition);
      pending.push(definition.nodes);
    }
  }
  return [...found];
}

export function readClip(text: string): Clip | null {
  if (!text.startsWith('{"sumi":1')) return null;
  try {
    const clip = parseJson(text) as unknown as Clip;
    return Array.isArray(clip.nodes) && Array.isArray(clip.links) ? clip : null;
  } catch {
    return null; // another program's text with the same beginning
  }
}

/** `at`: where the centre of the pasted nodes goes. `offset`: instead, the distance from their old position. */
export function paste(
  level: Level,
  clip: Clip,
  place: { at: [number, number] } | { offset: [number, number] },
): { level: Level; ids: Set<string>; groups: Set<number> } {
  const wanted = "offset" in place ? place.offset : shift(clip, place.at);
  const corners = clip.nodes.map(position).map(([x, y]) => [x + wanted[0], y + wanted[1]] as const);
  const [dx, dy] = freeSpot(level, wanted, corners);
  const renamed = new Map<string, string>();
  let current = level;
  for (const node of clip.nodes) {
    const id = nextNodeId(current);
    const [x, y] = position(node);
    renamed.set(String(node.id), String(id));
    const inputs = node.inputs?.map((slot) => ({ ...slot, link: null }));
    const outputs = node.outputs?.map((slot) => ({ ...slot, links: null }));
    current = addNode(current, {
      ...node,
      id,
      pos: [x + dx, y + dy],
      ...(inputs && { inputs }),
      ...(outputs && { outputs }),
    });
  }
  for (const link of clip.links) {
    const origin = renamed.get(String(link.origin_id));
    const target = renamed.get(String(link.target_id));
    if (origin && target)
      current = connect(current, { origin, originSlot: link.origin_slot, target, targetSlot: link.target_slot });
  }
  const first = current.groups?.length ?? 0;
  for (const { id: _, ...group } of clip.groups ?? []) {
    const [x, y, width, height] = group.bounding;
    current = addGroup(current, { ...group, title: group.title, bounding: [x + dx, y + dy, width, height] });
  }
  return {
    level: current,
    ids: new Set(renamed.values()),
    groups: new Set((clip.groups ?? []).map((_, index) => first + index)),
  };
}

function shift({ nodes, groups = [] }: Clip, [x, y]: [number, number]): [number, number] {
  const places = [
    ...nodes.map(position),
    ...groups.flatMap(
      ({ bounding: [left, top, width, height] }) =>
        [
          [left, top],
          [left + width, top + height],
        ] as [number, number][],
    ),
  ];
  const middle = (axis: 0 | 1) => {
    const values = places.map((place) => place[axis]);
    return (Math.min(...values) + Math.max(...values)) / 2;
  };
  return [Math.round(x - middle(0)), Math.round(y - middle(1))];
}

/** The document with the definitions that pasted nodes need. */
export function withDefinitions(doc: Doc, clip: Clip): Doc {
  const missing = (clip.subgraphs ?? []).filter((definition) => !subgraphs(doc).has(definition.id));
  if (!missing.length) return doc;
  return {
    ...doc,
    definitions: { ...doc.definitions, subgraphs: [...(doc.definitions?.subgraphs ?? []), ...missing] },
  };
}
