/** Checks that a document has the shape the editor relies on. Everything else may have any form. */

import type { Doc } from "../document/document";
import { listedProxies } from "../document/promoted";

/** An error in a file: where, what was found, what was expected. */
export class ShapeError extends Error {}

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isId = (value: unknown) => typeof value === "number" || typeof value === "string";
const isAbsent = (value: unknown) => value === undefined || value === null;

function expect(sound: boolean, place: string, found: unknown, wanted: string): asserts sound {
  if (sound) return;
  const shown =
    found === undefined
      ? "nothing"
      : (JSON.stringify(found, (_, entry: unknown) => (typeof entry === "bigint" ? String(entry) : entry)) ??
        typeof found);
  throw new ShapeError(`${place}: found ${shown.length > 60 ? `${shown.slice(0, 57)}…` : shown}, expected ${wanted}`);
}

/** Throws ShapeError. */
export function checkDocument(doc: unknown): asserts doc is Doc {
  expect(isObject(doc), "workflow", doc, "an object");
  checkLevel(doc, "");
  const pending: [Fields, string][] = [[doc, ""]];
  const ids = new Set<string>();
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [holder, place] = next;
    if (isAbsent(holder.definitions)) continue;
    expect(isObject(holder.definitions), `${place}definitions`, holder.definitions, "an object");
    listed(holder.definitions.subgraphs, `${place}definitions.subgraphs`).forEach((definition, index) => {
      const at = `${place}definitions.subgraphs[${index}]`;
      expect(isObject(definition), at, definition, "a subgraph");
      expect(typeof definition.id === "string", `${at}.id`, definition.id, "text");
      expect(!ids.has(definition.id), `${at}.id`, definition.id, "a unique id");
      ids.add(definition.id);
      checkLevel(definition, `${at}.`);
      for (const side of ["inputs", "outputs"]) checkSlots(definition[side], `${at}.${side}`);
      pending.push([definition, `${at}.`]);
    });
  }
}

function listed(value: unknown, place: string): unknown[] {
  if (isAbsent(value)) return [];
  expect(Array.isArray(value), place, value, "a list");
  return value;
}

function checkLevel(level: Fields, place: string): void {
  expect(Array.isArray(level.nodes), `${place}nodes`, level.nodes, "a list");
  const ids = new Set<string>();
  level.nodes.forEach((node: unknown, index) => {
    const at = `${place}nodes[${index}]`;
    checkNode(node, at);
    expect(!ids.has(String(node.id)), `${at}.id`, node.id, "an id that no other node has");
    ids.add(String(node.id));
  });
  for (const [index, link] of listed(level.links, `${place}links`).entries())
    checkLink(link, `${place}links[${index}]`);
  listed(level.groups, `${place}groups`).forEach((group, index) => {
    const at = `${place}groups[${index}]`;
    expect(isObject(group), at, group, "a group");
    const { bounding } = group;
    const sound =
      Array.isArray(bounding) &&
      bounding.length >= 4 &&
      bounding.slice(0, 4).every((entry) => typeof entry === "number");
    expect(sound, `${at}.bounding`, bounding, "four numbers");
  });
}

function checkNode(node: unknown, at: string): asserts node is Fields {
  expect(isObject(node), at, node, "a node");
  expect(isId(node.id), `${at}.id`, node.id, "a number or text");
  expect(typeof node.type === "string", `${at}.type`, node.type, "text");
  expect(isAbsent(node.title) || typeof node.title === "string", `${at}.title`, node.title, "text");
  expect(isAbsent(node.mode) || typeof node.mode === "number", `${at}.mode`, node.mode, "a number");
  for (const key of ["pos", "size", "widgets_values", "properties", "flags"]) {
    expect(isAbsent(node[key]) || typeof node[key] === "object", `${at}.${key}`, node[key], "a list or an object");
  }
  for (const side of ["inputs", "outputs"]) checkSlots(node[side], `${at}.${side}`);
  const proxies = listedProxies(isObject(node.properties) ? node.properties.proxyWidgets : undefined);
  listed(proxies, `${at}.properties.proxyWidgets`).forEach((entry, index) => {
    expect(
      Array.isArray(entry) && entry.length >= 2,
      `${at}.properties.proxyWidgets[${index}]`,
      entry,
      "[inner node id, widget name]",
    );
  });
}

function checkSlots(value: unknown, place: string): void {
  listed(value, place).forEach((slot, index) => {
    const at = `${place}[${index}]`;
    expect(isObject(slot), at, slot, "a slot");
    expect(typeof slot.name === "string", `${at}.name`, slot.name, "text");
    expect(isAbsent(slot.widget) || isObject(slot.widget), `${at}.widget`, slot.widget, "an object");
    expect(isAbsent(slot.links) || Array.isArray(slot.links), `${at}.links`, slot.links, "a list");
  });
}

function checkLink(link: unknown, at: string): void {
  if (link === null) return;
  const fields = Array.isArray(link)
    ? link
    : isObject(link)
      ? ["id", "origin_id", "origin_slot", "target_id", "target_slot"].map((key) => link[key])
      : [];
  const sound = fields.length >= 5 && fields.slice(0, 5).every(isId);
  expect(sound, at, link, "[link id, from node, from slot, to node, to slot, type] or the same as an object");
}
