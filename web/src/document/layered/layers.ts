/** Assigns nodes to layers, which are the columns of a drawing: links lead from a layer to a later one. */

export interface Edge {
  from: string;
  to: string;
}

/**
 * Where a node stands that has a choice: where its links are shortest, in the first layer after its sources, or in the
 * last before its targets.
 */
export type Choice = "short" | "early" | "late";

/**
 * The layer of each node that has links, from 0. Links that close a circle, seen from the first nodes of `ids`, are
 * ignored.
 */
export function layersOf(ids: readonly string[], edges: readonly Edge[], choice: Choice): Map<string, number> {
  const forward = acyclic(ids, edges);
  const sources = new Map<string, string[]>(ids.map((id) => [id, []]));
  const targets = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const { from, to } of forward) {
    sources.get(to)?.push(from);
    targets.get(from)?.push(to);
  }
  const layers = new Map<string, number>();
  const layerOf = (id: string): number => {
    let layer = layers.get(id);
    if (layer === undefined) {
      layer = Math.max(-1, ...(sources.get(id) ?? []).map(layerOf)) + 1;
      layers.set(id, layer);
    }
    return layer;
  };
  const linked = ids.filter((id) => sources.get(id)?.length || targets.get(id)?.length);
  for (const id of linked) layerOf(id);
  if (choice === "short") shorten(linked, layers, sources, targets);
  if (choice === "late") postpone(linked, layers, targets);
  const first = Math.min(...layers.values());
  for (const [id, layer] of layers) layers.set(id, layer - first);
  return layers;
}

/** Move each node to the layer where its links are shortest, until nothing changes. */
function shorten(
  ids: readonly string[],
  layers: Map<string, number>,
  sources: ReadonlyMap<string, readonly string[]>,
  targets: ReadonlyMap<string, readonly string[]>,
): void {
  const at = (id: string) => layers.get(id) as number;
  for (let round = 0; round < ids.length; round += 1) {
    let changed = false;
    for (const id of ids.toSorted((one, other) => at(other) - at(one))) {
      const [before, after] = [sources.get(id) ?? [], targets.get(id) ?? []];
      const to =
        after.length > before.length
          ? Math.min(...after.map(at)) - 1
          : before.length > after.length
            ? Math.max(...before.map(at)) + 1
            : at(id);
      if (to === at(id)) continue;
      layers.set(id, to);
      changed = true;
    }
    if (!changed) return;
  }
}

/** Move each node to the last layer before its targets. */
function postpone(
  ids: readonly string[],
  layers: Map<string, number>,
  targets: ReadonlyMap<string, readonly string[]>,
): void {
  const at = (id: string) => layers.get(id) as number;
  for (const id of ids.toSorted((one, other) => at(other) - at(one))) {
    const after = targets.get(id) ?? [];
    if (after.length) layers.set(id, Math.min(...after.map(at)) - 1);
  }
}

/** The links without those that close a circle. */
function acyclic(ids: readonly string[], edges: readonly Edge[]): Edge[] {
  const leaving = new Map<string, Edge[]>();
  for (const edge of edges) leaving.set(edge.from, [...(leaving.get(edge.from) ?? []), edge]);
  const state = new Map<string, "open" | "done">();
  const kept: Edge[] = [];
  for (const start of ids) {
    if (state.has(start)) continue;
    state.set(start, "open");
    const path = [{ id: start, rest: [...(leaving.get(start) ?? [])] }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const edge = top.rest.shift();
      if (edge === undefined) {
        state.set(top.id, "done");
        path.pop();
        continue;
      }
      if (state.get(edge.to) === "open") continue;
      kept.push(edge);
      if (state.has(edge.to)) continue;
      state.set(edge.to, "open");
      path.push({ id: edge.to, rest: [...(leaving.get(edge.to) ?? [])] });
    }
  }
  return kept;
}
