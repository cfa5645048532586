/** Converts group nodes to subgraphs: on every run, and permanently when a person asks for it. */

import { type Doc, type GraphNode, type Level, type Port, type Subgraph, subgraphs } from "./document";
import { connect } from "./edits";
import { type GroupPlan, groupName, groupPlan, placedFields } from "./group_nodes";
import { mapLevels } from "./lifting";
import { INPUT, newSubgraph, OUTPUT } from "./new_nodes";
import type { Catalogue } from "./schema";
import { withControl } from "./widget_values";

/** Maximum nesting depth of group nodes. */
const DEEPEST = 20;

/**
 * Replace the group nodes named `only`, or all of them, by subgraph nodes. An inner node's id is its index, so that it
 * runs as `9:0`, as in a group node. `newId` returns the id of a new definition.
 */
export function withoutGroupNodes(doc: Doc, catalogue: Catalogue, newId: (name: string) => string, only?: string): Doc {
  const ids = new Map<string, string>();
  let current = doc;
  for (let depth = 0; depth < DEEPEST; depth += 1) {
    const around = { doc: current, catalogue };
    const found = holdersOf(current).filter((node) => {
      const wanted = depth > 0 || only === undefined || groupName(node.type) === only;
      return wanted && groupPlan(node.type, around) !== null;
    });
    if (!found.length) break;
    for (const type of new Set(found.map((node) => node.type))) {
      const holders = found.filter((node) => node.type === type);
      const plan = groupPlan(type, around) as GroupPlan;
      const known = ids.get(plan.title);
      const id = known ?? newId(plan.title);
      ids.set(plan.title, id);
      const fieldSockets = plan.fields.filter(({ name }) =>
        holders.some((holder) => holder.inputs?.some((slot) => slot.widget && slot.name === name)),
      );
      if (!known)
        current = withDefinition(current, subgraphOf(plan, id, fieldSockets, holders[0] as GraphNode, catalogue));
      current = mapLevels(current, (level) => ({
        ...level,
        nodes: level.nodes.map((node) => (node.type === type ? holderOf(node, plan, id) : node)),
      }));
    }
  }
  if (only === undefined || current === doc) return current;
  const { [only]: _, ...kept } = (current.extra?.groupNodes ?? {}) as Record<string, unknown>;
  return { ...current, extra: { ...current.extra, groupNodes: kept } };
}

const holdersOf = (doc: Doc): GraphNode[] =>
  [doc as Level, ...subgraphs(doc).values()].flatMap((level) =>
    level.nodes.filter((node) => groupName(node.type) !== null),
  );

function withDefinition(doc: Doc, definition: Subgraph): Doc {
  const listed = doc.definitions?.subgraphs ?? [];
  return { ...doc, definitions: { ...doc.definitions, subgraphs: [...listed, definition] } };
}

function subgraphOf(
  plan: GroupPlan,
  id: string,
  fieldSockets: GroupPlan["fields"],
  holder: GraphNode,
  catalogue: Catalogue,
): Subgraph {
  const { title, definition, inputs, outputs } = plan;
  const fields = placedFields(holder, plan);
  const port =
    (side: string) =>
    ({ name, type }: { name: string; type: string }, index: number): Port => ({
      id: `${id}-${side}${index}`,
      name,
      type,
      linkIds: [],
    });
  const values = Array.isArray(holder.widgets_values) ? holder.widgets_values : [];
  const nodes = definition.nodes.map((node, index): GraphNode => {
    const { index: _, ...plain } = node;
    let inner: GraphNode = {
      ...plain,
      type: node.type,
      id: index,
      inputs: (node.inputs ?? []).map((slot) => ({ ...slot, link: null })),
      outputs: (node.outputs ?? []).map((slot) => ({ ...slot, links: null })),
    };
    // The inner node stores how a seed changes after each run.
    for (const { inner: of, input, companion } of fields) {
      const def = catalogue.get(node.type);
      const mode = of === index && companion !== undefined && input.controlled ? values[companion] : undefined;
      if (def && typeof mode === "string") inner = withControl(inner, def, input.name, mode as never);
    }
    return inner;
  });
  const [left, top] = [Math.min(...nodes.map(at(0))), Math.min(...nodes.map(at(1)))];
  const right = Math.max(...nodes.map((node) => at(0)(node) + 300));
  const ports = [...inputs, ...fieldSockets];
  let made: Subgraph = {
    ...newSubgraph(id, title, nodes.length),
    inputNode: { id: INPUT, bounding: [left - 250, top, 170, 60 + 22 * ports.length] },
    outputNode: { id: OUTPUT, bounding: [right + 80, top, 170, 60 + 22 * outputs.length] },
    inputs: ports.map(port("i")),
    outputs: outputs.map(port("o")),
    nodes,
  };
  const join = (
    origin: number,
    originSlot: number,
    target: number,
    targetSlot: number | string,
    type?: string,
  ): void => {
    made = connect(made, { origin: String(origin), originSlot, target: String(target), targetSlot }, type) as Subgraph;
  };
  for (const [origin, output, target, input] of definition.links ?? [])
    if (nodes[Number(origin)] && nodes[Number(target)])
      join(Number(origin), Number(output), Number(target), Number(input));
  ports.forEach(({ inner, slot, type }, index) => {
    const place = nodes[inner]?.inputs?.findIndex((input) => input.name === slot) ?? -1;
    join(INPUT, index, inner, place < 0 ? slot : place, type);
  });
  for (const [index, { inner, slot }] of outputs.entries()) join(inner, slot, OUTPUT, index);
  return made;
}

const at =
  (axis: 0 | 1) =>
  (node: GraphNode): number =>
    Number((node.pos as number[] | undefined)?.[axis] ?? 0);

/** Sockets keep their names; a socket with an unknown name gets the name of the input with the same index. */
function holderOf(holder: GraphNode, plan: GroupPlan, id: string): GraphNode {
  const { title, inputs } = plan;
  const fields = placedFields(holder, plan);
  const names = new Set([...inputs, ...fields].map(({ name }) => name));
  let place = 0;
  const slots = (holder.inputs ?? []).map((slot) => {
    if (slot.widget) return slot;
    const port = inputs[place];
    place += 1;
    return names.has(slot.name) || !port ? slot : { ...slot, name: port.name, label: slot.label ?? slot.name };
  });
  return {
    ...holder,
    type: id,
    title: holder.title || title,
    inputs: slots,
    properties: { ...holder.properties, proxyWidgets: fields.map(({ inner, slot }) => [String(inner), slot]) },
    widgets_values: fields.map(({ given }) => given ?? null),
  };
}
