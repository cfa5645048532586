/** The type of a reroute: the type of its input, or else of what it is linked to. Its sockets and links store it. */

import { type Id, type Level, type LinkRecord, linksOf, nodesById, type RawLink, type Subgraph } from "./document";

const isReroute = (level: Level, id: Id): boolean => nodesById(level).get(String(id))?.type === "Reroute";

/** The type that a reroute carries; "*" if unknown. */
export function rerouteType(level: Level, id: string): string {
  const links = linksOf(level);
  const walked = new Set<string>();
  for (let at = id; !walked.has(at); ) {
    walked.add(at);
    const feed = links.find((link) => String(link.target_id) === at);
    if (!feed) break;
    if (!isReroute(level, feed.origin_id)) return originType(level, feed);
    at = String(feed.origin_id);
  }
  const pending = [...walked];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const link of links) {
      if (String(link.origin_id) !== at) continue;
      const target = String(link.target_id);
      if (!isReroute(level, target)) return targetType(level, link);
      if (!walked.has(target)) {
        walked.add(target);
        pending.push(target);
      }
    }
  }
  return "*";
}

function originType(level: Level, link: LinkRecord): string {
  const inside = level as Subgraph;
  if (String(link.origin_id) === String(inside.inputNode?.id)) return inside.inputs?.[link.origin_slot]?.type ?? "*";
  return String(nodesById(level).get(String(link.origin_id))?.outputs?.[link.origin_slot]?.type ?? link.type);
}

function targetType(level: Level, link: LinkRecord): string {
  const inside = level as Subgraph;
  if (String(link.target_id) === String(inside.outputNode?.id)) return inside.outputs?.[link.target_slot]?.type ?? "*";
  return String(nodesById(level).get(String(link.target_id))?.inputs?.[link.target_slot]?.type ?? "*");
}

/** The level with the type updated on all reroutes connected to those nodes, and on their links. */
export function retyped(level: Level, touched: Iterable<Id>): Level {
  const chain = new Set<string>();
  const pending = [...touched].map(String).filter((id) => isReroute(level, id));
  if (!pending.length) return level;
  const links = linksOf(level);
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    if (chain.has(id)) continue;
    chain.add(id);
    for (const { origin_id, target_id } of links) {
      const other = String(origin_id) === id ? String(target_id) : String(target_id) === id ? String(origin_id) : null;
      if (other !== null && isReroute(level, other)) pending.push(other);
    }
  }
  const types = new Map([...chain].map((id) => [id, rerouteType(level, id)]));
  const nodes = level.nodes.map((node) => {
    const type = types.get(String(node.id));
    const [output] = node.outputs ?? [];
    return type === undefined || !output || output.type === type ? node : { ...node, outputs: [{ ...output, type }] };
  });
  const changed = level.links.map((raw) => withType(raw, types));
  return { ...level, nodes, links: changed };
}

function withType(raw: RawLink, types: ReadonlyMap<string, string>): RawLink {
  if (raw === null) return raw;
  const type = types.get(String(Array.isArray(raw) ? raw[1] : raw.origin_id));
  if (type === undefined) return raw;
  if (!Array.isArray(raw)) return raw.type === type ? raw : { ...raw, type };
  return raw[5] === type ? raw : (raw.with(5, type) as RawLink);
}
