/** The fields that a subgraph node promotes from its inside, as its file lists them. */

import type { GraphNode, Id } from "./document";

/** The values of a subgraph node as [inner node id, or -1 for its own input; widget name; value]. */
export function namedValues(holder: GraphNode): [string, string, unknown][] {
  const names = promotedNames(holder);
  const values = holder.widgets_values ?? [];
  if (!Array.isArray(values)) {
    const byName = new Map([...ownSlots(holder), ...proxies(holder)].map((entry) => [entry[1], entry]));
    return Object.entries(values).map(([name, value]) => [...(byName.get(name) ?? (["-1", name] as const)), value]);
  }
  return names.slice(0, values.length).map(([inner, name], index) => [inner, name, values[index]]);
}

/** The inner node id and widget name of each entry in a subgraph node's list of values. */
export function promotedNames(holder: GraphNode): [string, string][] {
  const slots = ownSlots(holder);
  const listed = proxies(holder);
  const values = holder.widgets_values;
  if (!listed.length) return slots;
  const both =
    Array.isArray(values) &&
    values.length === slots.length + listed.length &&
    listed.every(([inner]) => inner !== "-1");
  return both ? [...slots, ...listed] : listed;
}

export const ownSlots = (holder: GraphNode): [string, string][] =>
  (holder.inputs ?? []).flatMap((slot) => (slot.widget ? [["-1", slot.name] as [string, string]] : []));

export const proxies = (holder: GraphNode): [string, string][] =>
  ((listedProxies(holder.properties?.proxyWidgets) as [Id, string][] | null | undefined) ?? []).map(([inner, name]) => [
    String(inner),
    name,
  ]);

/** The list, which editors write also as JSON text. Text that is not JSON is returned unchanged. */
export function listedProxies(written: unknown): unknown {
  if (typeof written !== "string") return written;
  try {
    return JSON.parse(written);
  } catch {
    return written;
  }
}
