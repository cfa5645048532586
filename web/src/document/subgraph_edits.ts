/** Makes subgraphs from a selection, and dissolves them. */

import {
  type Doc,
  type GraphNode,
  type Group,
  type Id,
  type Level,
  type LinkRecord,
  linksById,
  linksOf,
  nodesById,
  type Port,
  position,
  type Subgraph,
  subgraphs,
} from "./document";
import { addGroup, addNode, changeLevel, connect, deleteNodes, levelAt, nextNodeId } from "./edits";
import { bounds, geometry, HEADER } from "./geometry";
import { newId } from "./ids";
import { isWanted, liftable, withShown } from "./lifting";
import { INPUT, newSubgraph, OUTPUT } from "./new_nodes";
import { promotedNames } from "./promoted";
import { type EditContext, setWidget, widgetViews } from "./widget_views";

/** Replace the selection by one node; links that cross its border become the subgraph's inputs and outputs. */
export function wrap(
  doc: Doc,
  path: readonly string[],
  ids: ReadonlySet<string>,
  name: string,
  env: EditContext,
): { doc: Doc; id: string } | null {
  const level = levelAt(doc, path);
  const inside = level.nodes.filter((node) => ids.has(String(node.id)));
  const box = bounds(inside.map((node) => geometry(node, env)));
  if (!box) return null;
  const links = linksOf(level);
  const within = (id: Id) => ids.has(String(id));
  const entering = links.filter((link) => !within(link.origin_id) && within(link.target_id));
  const leaving = links.filter((link) => within(link.origin_id) && !within(link.target_id));
  const sources = grouped(entering, (link) => `${link.origin_id}/${link.origin_slot}`);
  const results = grouped(leaving, (link) => `${link.origin_id}/${link.origin_slot}`);
  const nodes = nodesById(level);
  const names = new Set<string>();
  const free = (wanted: string) => {
    let found = wanted || "value";
    for (let number = 2; names.has(found); number += 1) found = `${wanted}_${number}`;
    names.add(found);
    return found;
  };
  const fields = new Set<string>();
  const inputs: Port[] = sources.map(([first]) => {
    const slot = nodes.get(String(first.target_id))?.inputs?.[first.target_slot];
    const name = free(slot?.name ?? first.type);
    if (slot?.widget) fields.add(name);
    return { id: newId(), name, type: first.type, linkIds: [] };
  });
  names.clear();
  const outputs: Port[] = results.map(([first]) => {
    const slot = nodes.get(String(first.origin_id))?.outputs?.[first.origin_slot];
    return { id: newId(), name: free(slot?.name ?? first.type), type: first.type, linkIds: [] };
  });
  const last = Math.max(0, ...inside.map((node) => Number(node.id) || 0));
  let definition: Subgraph = {
    ...newSubgraph(newId(), name, last),
    inputNode: { id: INPUT, bounding: [box.x - 250, box.y, 170, 60 + 22 * inputs.length] },
    outputNode: { id: OUTPUT, bounding: [box.x + box.width + 80, box.y, 170, 60 + 22 * outputs.length] },
    inputs,
    outputs,
    nodes: inside.map(unlinked),
  };
  const inner = links.filter((link) => within(link.origin_id) && within(link.target_id));
  for (const link of inner) definition = joined(definition, link, {}) as Subgraph;
  sources.forEach((group, slot) => {
    for (const link of group) definition = joined(definition, link, { origin: [INPUT, slot] }) as Subgraph;
  });
  results.forEach(([first], slot) => {
    definition = joined(definition, first, { target: [OUTPUT, slot] }) as Subgraph;
  });
  const holderId = nextNodeId(level);
  const bare: GraphNode = {
    id: holderId,
    type: definition.id,
    pos: [Math.round(box.x), Math.round(box.y) + HEADER],
    size: [240, 80],
    flags: {},
    order: 0,
    mode: 0,
    inputs: inputs.map(({ name: port, type }) => ({
      name: port,
      type,
      link: null,
      ...(fields.has(port) && { widget: { name: port } }),
    })),
    outputs: outputs.map(({ name: port, type }, slot_index) => ({ name: port, type, links: null, slot_index })),
    properties: { proxyWidgets: [] },
    widgets_values: [],
    title: name,
  };
  const inView = {
    ...env,
    doc: {
      ...doc,
      definitions: { ...doc.definitions, subgraphs: [...(doc.definitions?.subgraphs ?? []), definition] },
    },
  };
  const lifted = liftable(definition, inView)
    .filter(isWanted)
    .map((entry) => ({ inner: String(entry.node.id), name: entry.name, value: null }));
  const holder = withShown(bare, lifted);
  const listed = {
    ...doc,
    definitions: { ...doc.definitions, subgraphs: [...(doc.definitions?.subgraphs ?? []), definition] },
  };
  const changed = changeLevel(listed, path, (before) => {
    let after = addNode(deleteNodes(before, ids, env.catalogue, false), holder);
    for (const [slot, [first]] of sources.entries()) after = joined(after, first, { target: [holderId, slot] });
    results.forEach((group, slot) => {
      for (const link of group) after = joined(after, link, { origin: [holderId, slot] });
    });
    return after;
  });
  return { doc: changed, id: String(holderId) };
}

/** Replace a subgraph node by its inside. */
export function unwrap(
  doc: Doc,
  path: readonly string[],
  id: string,
  env: EditContext,
): { doc: Doc; ids: string[] } | null {
  const level = levelAt(doc, path);
  const holder = nodesById(level).get(id);
  const definition = holder && subgraphs(doc).get(holder.type);
  if (!holder || !definition) return null;
  const box = bounds(definition.nodes.map((node) => geometry(node, env)));
  const place = geometry(holder, env);
  const [dx, dy] = box ? [place.x - box.x, place.y - box.y] : [0, 0];
  const [inputId, outputId] = [String(definition.inputNode?.id ?? INPUT), String(definition.outputNode?.id ?? OUTPUT)];
  const renamed = new Map<string, number>();
  const overrides = promotedNames(holder).map(([inner, name], index) => ({
    inner,
    name,
    value: Array.isArray(holder.widgets_values) ? holder.widgets_values[index] : holder.widgets_values?.[name],
  }));
  const changed = changeLevel(doc, path, (before) => {
    let after: Level = before;
    for (const node of definition.nodes) {
      const number = nextNodeId(after);
      renamed.set(String(node.id), number);
      const [x, y] = position(node);
      let own: GraphNode = { ...unlinked(node), id: number, pos: [Math.round(x + dx), Math.round(y + dy)] };
      for (const { inner, name, value } of overrides)
        if (inner === String(node.id) && value !== null && value !== undefined) own = given(own, name, value, env);
      after = addNode(after, own);
    }
    const feeds = holder.inputs?.map((slot) => linksById(before).get(String(slot.link))) ?? [];
    const slotOf = (port: number) =>
      holder.inputs?.findIndex((slot) => slot.name === definition.inputs[port]?.name) ?? -1;
    for (const link of linksOf(definition)) {
      const [origin, target] = [String(link.origin_id), String(link.target_id)];
      if (origin === inputId && target !== outputId) {
        const feed = feeds[slotOf(link.origin_slot)];
        const own = overrides.find(
          ({ inner, name }) => inner === "-1" && name === definition.inputs[link.origin_slot]?.name,
        )?.value;
        if (feed)
          after = joined(after, link, {
            origin: [feed.origin_id, feed.origin_slot],
            target: [renamed.get(target) as Id, link.target_slot],
          });
        else if (own !== null && own !== undefined) {
          const to = String(renamed.get(target));
          const slot = nodesById(definition).get(target)?.inputs?.[link.target_slot];
          after = {
            ...after,
            nodes: after.nodes.map((node) =>
              String(node.id) === to ? given(node, slot?.widget?.name ?? slot?.name ?? "", own, env) : node,
            ),
          };
        }
      } else if (target === outputId) {
        for (const outer of linksOf(before).filter(
          (entry) => String(entry.origin_id) === id && entry.origin_slot === link.target_slot,
        )) {
          const from: [Id, number] | null =
            origin === inputId
              ? ((feed) => (feed ? ([feed.origin_id, feed.origin_slot] as [Id, number]) : null))(
                  feeds[slotOf(link.origin_slot)],
                )
              : [renamed.get(origin) as Id, link.origin_slot];
          if (from) after = joined(after, outer, { origin: from });
        }
      } else
        after = joined(after, link, {
          origin: [renamed.get(origin) as Id, link.origin_slot],
          target: [renamed.get(target) as Id, link.target_slot],
        });
    }
    after = deleteNodes(after, new Set([id]), env.catalogue, false);
    for (const { id: _, ...group } of definition.groups ?? []) {
      const [x = 0, y = 0, width = 0, height = 0] = group.bounding;
      after = addGroup(after, {
        ...(group as Group),
        bounding: [x + Math.round(dx), y + Math.round(dy), width, height],
      });
    }
    return after;
  });
  return { doc: withoutUnused(changed, definition.id), ids: [...renamed.values()].map(String) };
}

/** A field's value, on a plain node or on a subgraph's node. */
function given(node: GraphNode, name: string, value: unknown, env: EditContext): GraphNode {
  const view = widgetViews(node, env).find((entry) => entry.input.name === name);
  return view ? setWidget(node, view.key, value, env) : node;
}

function withoutUnused(doc: Doc, id: string): Doc {
  const used = [doc as Level, ...subgraphs(doc).values()].some((level) => level.nodes.some((node) => node.type === id));
  const listed = doc.definitions?.subgraphs;
  if (used || !listed?.some((entry) => entry.id === id)) return doc;
  return { ...doc, definitions: { ...doc.definitions, subgraphs: listed.filter((entry) => entry.id !== id) } };
}

function unlinked(node: GraphNode): GraphNode {
  return {
    ...node,
    ...(node.inputs && { inputs: node.inputs.map((slot) => ({ ...slot, link: null })) }),
    ...(node.outputs && { outputs: node.outputs.map((slot) => ({ ...slot, links: null })) }),
  };
}

function joined(level: Level, link: LinkRecord, ends: { origin?: [Id, number]; target?: [Id, number] }): Level {
  const [origin, originSlot] = ends.origin ?? [link.origin_id, link.origin_slot];
  const [target, targetSlot] = ends.target ?? [link.target_id, link.target_slot];
  return connect(level, { origin: String(origin), originSlot, target: String(target), targetSlot });
}

function grouped(links: LinkRecord[], key: (link: LinkRecord) => string): [LinkRecord, ...LinkRecord[]][] {
  const groups = new Map<string, [LinkRecord, ...LinkRecord[]]>();
  for (const link of links) {
    const group = groups.get(key(link));
    if (group) group.push(link);
    else groups.set(key(link), [link]);
  }
  return [...groups.values()];
}
