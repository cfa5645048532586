/** Keeps the input slots of nodes in step with their choices and growing inputs. */

import { type Doc, type GraphNode, type InputSlot, type Level, linksOf, nodesById, subgraphs } from "./document";
import { isDynamic, membersOf, newSlot, shortName } from "./dynamic_inputs";
import { disconnect, mapNode } from "./edits";
import { mapLevels } from "./lifting";
import { renumbered } from "./ports";
import type { Catalogue, InputDef, NodeDef } from "./schema";
import { chosenInputs, shownInputs } from "./widget_values";

/** The document after an edit, with the slots of every node whose inputs or values the edit changed. */
export function withDynamicSlots(doc: Doc, before: Doc, catalogue: Catalogue): Doc {
  if (doc === before) return doc;
  const old = subgraphs(before);
  return mapLevels(doc, (level) => {
    const was = typeof level.id === "string" && old.has(level.id) ? old.get(level.id) : before;
    if (!was || was.nodes === level.nodes) return level;
    const touched = level.nodes.filter((node) => {
      const then = nodesById(was).get(String(node.id));
      return then && (then.inputs !== node.inputs || then.widgets_values !== node.widgets_values);
    });
    return touched.reduce((now, { id }) => withSlotsOf(now, String(id), catalogue), level);
  });
}

/** The level with the slots that one of its nodes needs. Links to slots that disappear are removed. */
export function withSlotsOf(level: Level, id: string, catalogue: Catalogue): Level {
  const node = nodesById(level).get(id);
  const def = node && catalogue.get(node.type);
  if (!node || !def || !isDynamic(def)) return level;
  const before = node.inputs ?? [];
  const planned = plan(node, def);
  if (planned.length === before.length && planned.every(({ slot }, index) => slot === before[index])) return level;
  const moves = new Map(planned.flatMap(({ from }, to) => (from === undefined ? [] : [[from, to] as const])));
  const lost = linksOf(level).filter((link) => String(link.target_id) === id && !moves.has(link.target_slot));
  const without = disconnect(
    level,
    lost.map((link) => link.id),
  );
  const moved = renumbered(without, id, "inputs", (slot) => moves.get(slot) ?? slot);
  return mapNode(moved, id, (now) => ({ ...now, inputs: planned.map(({ slot }) => slot) }));
}

/** A slot, and its index before. */
interface Planned {
  slot: InputSlot;
  from?: number;
}

function plan(node: GraphNode, def: NodeDef): Planned[] {
  const current = closedUp(node, def);
  const named = { ...node, inputs: current.map(({ slot }) => slot) };
  const roots = def.inputs.filter(({ options, grows }) => options ?? grows).map(({ name }) => name);
  const rootOf = (name: string) => roots.find((root) => name === root || name.startsWith(`${root}.`));
  const inputs = shownInputs(named, def);
  const slotsOf = (root: string): Planned[] =>
    inputs
      .filter(({ name }) => rootOf(name) === root)
      .flatMap((input) => {
        const held = current.find(({ slot }) => slot.name === input.name);
        if (held) return [held];
        // Only files of newer front ends list fields as slots.
        const listed = input.widget === null || current.some(({ slot }) => slot.name === root && slot.widget);
        return listed ? [{ slot: newSlot(input) }] : [];
      });
  const pending = new Set(roots);
  const kept = current.flatMap((entry) => {
    const root = rootOf(entry.slot.name);
    if (root === undefined) return [entry];
    return pending.delete(root) ? slotsOf(root) : [];
  });
  return [...kept, ...[...pending].flatMap(slotsOf)];
}

/** The slots with numbered sockets moved up over free ones, so that linked ones come first. */
function closedUp(node: GraphNode, def: NodeDef): Planned[] {
  const slots: Planned[] = (node.inputs ?? []).map((slot, from) => ({ slot, from }));
  const growing = chosenInputs(node, def).filter(({ grows }) => grows?.numbered);
  return growing.reduce((now, input) => {
    const members = membersOf(input);
    const known = new Set(members.map(({ name }) => name));
    const linked = now.filter(({ slot }) => known.has(slot.name) && (slot.link ?? null) !== null);
    const names = new Map(linked.map(({ slot }, index) => [slot, (members[index] as InputDef).name]));
    const taken = new Set(names.values());
    return now.flatMap(({ slot, from }) => {
      const name = names.get(slot);
      if (name !== undefined) return [{ slot: renamed(slot, name), from }];
      return taken.has(slot.name) ? [] : [{ slot, from }];
    });
  }, slots);
}

function renamed(slot: InputSlot, name: string): InputSlot {
  if (slot.name === name) return slot;
  return { ...slot, name, ...(slot.label === shortName(slot.name) && { label: shortName(name) }) };
}
