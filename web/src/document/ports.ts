/** The inputs and outputs of a subgraph: slots of its two edge nodes inside, and of every node of it outside. */

import {
  type Doc,
  type GraphNode,
  type Level,
  linksOf,
  nodesById,
  type Port,
  type RawLink,
  type Subgraph,
  subgraphs,
} from "./document";
import { boundaryOf, disconnect, levelAt, mapNode, withDefinition } from "./edits";
import { newId } from "./ids";
import { mapLevels, OWN, shown, withShown } from "./lifting";

export type Side = "inputs" | "outputs";

export interface PortPlace {
  definition: string;
  side: Side;
  index: number;
}

const holdersIn = (level: Level, definition: string): string[] =>
  level.nodes.flatMap((node) => (node.type === definition ? [String(node.id)] : []));

function changeDefinition(doc: Doc, id: string, change: (definition: Subgraph) => Subgraph): Doc {
  const definition = subgraphs(doc).get(id);
  return definition ? withDefinition(doc, change(definition)) : doc;
}

function freeName(ports: readonly Port[], wanted: string): string {
  let name = wanted;
  for (let number = 2; ports.some((port) => port.name === name); number += 1) name = `${wanted}_${number}`;
  return name;
}

/** Add a port after all others, with a slot on every node of the subgraph. `field`: the slot has a field. */
export function addPort(
  doc: Doc,
  id: string,
  side: Side,
  wanted: { name: string; type: string; field?: boolean },
): Doc {
  const definition = subgraphs(doc).get(id);
  if (!definition) return doc;
  const ports = definition[side] ?? [];
  const name = freeName(ports, wanted.name || wanted.type.toLowerCase());
  const port: Port = { id: newId(), name, type: wanted.type, linkIds: [] };
  const changed = changeDefinition(doc, id, (before) => ({ ...before, [side]: [...ports, port] }));
  return mapLevels(changed, (level) =>
    holdersIn(level, id).reduce(
      (now, holder) => mapNode(now, holder, (node) => withSlot(node, side, port, wanted.field ?? false)),
      level,
    ),
  );
}

function withSlot(node: GraphNode, side: Side, { name, type }: Port, field: boolean): GraphNode {
  if (side === "outputs")
    return {
      ...node,
      outputs: [...(node.outputs ?? []), { name, type, links: null, slot_index: node.outputs?.length ?? 0 }],
    };
  const entries = shown(node);
  const after = {
    ...node,
    inputs: [...(node.inputs ?? []), { name, type, link: null, ...(field && { widget: { name } }) }],
  };
  return field ? withShown(after, [...entries, { inner: OWN, name, value: null }]) : after;
}

/** Set the label that people read; links keep using the name. */
export function renamePort(doc: Doc, { definition, side, index }: PortPlace, label: string): Doc {
  const name = subgraphs(doc).get(definition)?.[side]?.[index]?.name;
  if (name === undefined) return doc;
  const named = <T extends { name: string; label?: string }>(slots: readonly T[] | undefined): T[] =>
    (slots ?? []).map((slot) => {
      if (slot.name !== name) return slot;
      const { label: _, ...rest } = slot;
      return (label && label !== name ? { ...slot, label } : rest) as T;
    });
  const changed = changeDefinition(doc, definition, (before) => ({ ...before, [side]: named(before[side]) }));
  return mapLevels(changed, (level) =>
    holdersIn(level, definition).reduce(
      (now, holder) => mapNode(now, holder, (node) => ({ ...node, [side]: named(node[side]) })),
      level,
    ),
  );
}

/** Renumbers the slots at one end of some links. */
export function renumbered(level: Level, node: string, side: Side, to: (slot: number) => number): Level {
  const change = (link: RawLink): RawLink => {
    if (link === null) return link;
    const [key, place, id] =
      side === "inputs"
        ? (["target_slot", 4, Array.isArray(link) ? link[3] : link.target_id] as const)
        : (["origin_slot", 2, Array.isArray(link) ? link[1] : link.origin_id] as const);
    if (String(id) !== node) return link;
    const slot = Array.isArray(link) ? link[place] : link[key];
    const next = to(slot);
    if (next === slot) return link;
    return Array.isArray(link) ? (link.with(place, next) as RawLink) : { ...link, [key]: next };
  };
  return { ...level, links: (level.links ?? []).map(change) };
}

const numberedOutputs = (node: GraphNode): GraphNode =>
  node.outputs
    ? {
        ...node,
        outputs: node.outputs.map((slot, slot_index) => ("slot_index" in slot ? { ...slot, slot_index } : slot)),
      }
    : node;

/** The edge node's links are on its other side: inputs of the subgraph are outputs of its edge node. */
function edgeOf(level: Subgraph, side: Side): { node: string; linksOn: Side } {
  const boundary = boundaryOf(level) ?? { input: "-10", output: "-20" };
  return side === "inputs"
    ? { node: boundary.input, linksOn: "outputs" }
    : { node: boundary.output, linksOn: "inputs" };
}

function withoutSlot(level: Level, node: string, side: Side, index: number): Level {
  const gone = linksOf(level).filter((link) =>
    side === "inputs"
      ? String(link.target_id) === node && link.target_slot === index
      : String(link.origin_id) === node && link.origin_slot === index,
  );
  const without = disconnect(
    level,
    gone.map((link) => link.id),
  );
  return renumbered(without, node, side, (slot) => (slot > index ? slot - 1 : slot));
}

/** Remove a port and its links, inside and on every node of the subgraph. */
export function removePort(doc: Doc, { definition, side, index }: PortPlace): Doc {
  const port = subgraphs(doc).get(definition)?.[side]?.[index];
  if (!port) return doc;
  const changed = changeDefinition(doc, definition, (before) => {
    const edge = edgeOf(before, side);
    const without = withoutSlot(before, edge.node, edge.linksOn, index) as Subgraph;
    return { ...without, [side]: without[side].filter((_, at) => at !== index) };
  });
  return mapLevels(changed, (level) =>
    holdersIn(level, definition).reduce((now, holder) => {
      const slot = (nodesById(now).get(holder)?.[side] ?? []).findIndex((entry) => entry.name === port.name);
      const unlinked = slot < 0 ? now : withoutSlot(now, holder, side, slot);
      return mapNode(unlinked, holder, (node) => {
        const entries = side === "inputs" ? shown(node) : [];
        const less =
          slot < 0
            ? node
            : numberedOutputs({ ...node, [side]: (node[side] ?? []).filter((_, at) => at !== slot) } as GraphNode);
        const hadField = entries.some((entry) => entry.inner === OWN && entry.name === port.name);
        return hadField
          ? withShown(
              less,
              entries.filter((entry) => entry.inner !== OWN || entry.name !== port.name),
            )
          : less;
      });
    }, level),
  );
}

const swapped = <T>(list: readonly T[], first: number, second: number): T[] =>
  list.with(first, list[second] as T).with(second, list[first] as T);

/** Swap a port with the one before or after it. */
export function movePort(doc: Doc, { definition, side, index }: PortPlace, by: -1 | 1): Doc {
  const ports = subgraphs(doc).get(definition)?.[side] ?? [];
  const other = index + by;
  const [port, neighbour] = [ports[index], ports[other]];
  if (!port || !neighbour) return doc;
  const exchange = (first: number, second: number) => (slot: number) =>
    slot === first ? second : slot === second ? first : slot;
  const changed = changeDefinition(doc, definition, (before) => {
    const edge = edgeOf(before, side);
    const moved = renumbered(before, edge.node, edge.linksOn, exchange(index, other)) as Subgraph;
    return { ...moved, [side]: swapped(moved[side], index, other) };
  });
  return mapLevels(changed, (level) =>
    holdersIn(level, definition).reduce((now, holder) => {
      const slots = nodesById(now).get(holder)?.[side] ?? [];
      const [first, second] = [port, neighbour].map(({ name }) => slots.findIndex((slot) => slot.name === name)) as [
        number,
        number,
      ];
      if (first < 0 || second < 0) return now;
      const moved = renumbered(now, holder, side, exchange(first, second));
      return mapNode(moved, holder, (node) => {
        const entries = side === "inputs" ? shown(node) : null;
        const after = numberedOutputs({ ...node, [side]: swapped(node[side] as never[], first, second) } as GraphNode);
        const hasFields = after.inputs?.some((slot) => slot.widget) ?? false;
        return entries && hasFields ? withShown(after, entries) : after;
      });
    }, level),
  );
}

/** One end of a link that is being drawn. */
export interface End {
  node: string;
  side: "input" | "output";
  slot: number | string;
  type: string;
}

/** The document with a port for `end`, if that is the free slot of an edge node. The `other` end names the port. */
export function portFor(doc: Doc, path: readonly string[], end: End, other: End): Doc {
  const level = levelAt(doc, path);
  const boundary = boundaryOf(level);
  if (!boundary) return doc;
  const definition = level as Subgraph;
  const side: Side = end.side === "output" ? "inputs" : "outputs";
  if (
    end.node !== (side === "inputs" ? boundary.input : boundary.output) ||
    end.slot !== (definition[side] ?? []).length
  )
    return doc;
  const node = nodesById(level).get(other.node);
  const slot =
    typeof other.slot === "number" ? (other.side === "input" ? node?.inputs : node?.outputs)?.[other.slot] : undefined;
  const name = typeof other.slot === "string" ? other.slot : (slot?.label ?? slot?.name ?? "");
  const field =
    side === "inputs" &&
    (typeof other.slot === "string" || Boolean((slot as { widget?: unknown } | undefined)?.widget));
  return addPort(doc, definition.id, side, { name, type: other.type, field });
}
