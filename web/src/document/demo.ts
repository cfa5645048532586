/** Makes a small workflow that shows a node: what it takes comes from usual nodes, and what it gives is shown. */

import { type Doc, emptyDocument, fits, type GraphNode, type Level, linksOf, nodesById } from "./document";
import { addNode, connect, nextNodeId } from "./edits";
import { newNode } from "./new_nodes";
import type { Catalogue, InputDef, NodeDef } from "./schema";
import { shownInputs } from "./widget_values";
import { usualNext } from "./wired";

/** Guards against nodes that need each other. */
const DEEPEST = 9;

/** Sockets that an existing node must not be shared for: both would have the same text. */
const SEPARATE: ReadonlySet<string> = new Set(["CONDITIONING", "STRING"]);

/** The workflow, with all nodes at one place; its main node is the first. null: the catalogue has no such node. */
export function demoOf(name: string, catalogue: Catalogue): Doc | null {
  const def = catalogue.get(name);
  if (!def) return null;
  const making = new Making(catalogue);
  const main = making.add(def);
  making.feed(main, 0);
  making.show(main, 0);
  return { ...emptyDocument(), ...making.level };
}

class Making {
  level: Level = emptyDocument();

  constructor(private readonly catalogue: Catalogue) {}

  add(def: NodeDef): string {
    const id = nextNodeId(this.level);
    this.level = addNode(this.level, newNode(def, id, [0, 0]));
    return String(id);
  }

  private node(id: string): GraphNode {
    return nodesById(this.level).get(id) as GraphNode;
  }

  private def(id: string): NodeDef {
    return this.catalogue.get(this.node(id).type) as NodeDef;
  }

  /** Link every required socket of a node, adding nodes where none fits. */
  feed(id: string, depth: number): void {
    if (depth > DEEPEST) return;
    for (const input of this.openInputs(id)) {
      const there = this.present(id, input);
      if (there) {
        this.link(there, id, input);
        continue;
      }
      const def = this.giver(id, input, depth);
      if (!def) continue;
      const added = this.add(def);
      // Link it first: what it takes must not come from the nodes that follow.
      this.link({ id: added, slot: this.outputFor(def, input) }, id, input);
      this.feed(added, depth + 1);
    }
  }

  private openInputs(id: string): InputDef[] {
    return shownInputs(this.node(id), this.def(id)).filter((input) => {
      const slot = this.node(id).inputs?.find((each) => each.name === input.name);
      const needed = input.required || input.name.includes("."); // a growing input shows the sockets that it needs
      return input.widget === null && needed && slot !== undefined && (slot.link ?? null) === null;
    });
  }

  private usual(id: string, input: InputDef): string[] {
    return usualNext({ class: this.node(id).type, side: "input", slot: input.name, type: input.type });
  }

  /** An output of a node that is there already. */
  private present(id: string, input: InputDef): { id: string; slot: number } | null {
    if (SEPARATE.has(input.type)) return null;
    const usual = this.usual(id, input);
    const after = this.reachable(id);
    for (const node of this.level.nodes) {
      if (after.has(String(node.id)) || !usual.includes(node.type)) continue;
      const slot = this.outputFor(this.catalogue.get(node.type), input);
      if (slot >= 0) return { id: String(node.id), slot };
    }
    return null;
  }

  /** The kind of node to add for an input: one that takes nothing itself, unless the main node needs a sampled latent. */
  private giver(id: string, input: InputDef, depth: number): NodeDef | undefined {
    const { type } = this.node(id);
    const usual = this.usual(id, input).flatMap((name) => this.catalogue.get(name) ?? []);
    const others = [...this.catalogue.values()].filter((def) => !def.deprecated && !def.experimental);
    const able = [...usual, ...others].filter((def) => def.name !== type && this.outputFor(def, input) >= 0);
    const alone = able.find((def) => !needsSockets(def));
    return (depth > 0 || !usual.length || input.type !== "LATENT" ? alone : undefined) ?? able[0];
  }

  private outputFor(def: NodeDef | undefined, input: InputDef): number {
    const exact = def?.outputs.findIndex(({ type }) => type === input.type) ?? -1;
    return exact >= 0 ? exact : (def?.outputs.findIndex(({ type }) => type !== "*" && fits(input.type, type)) ?? -1);
  }

  /** Continue from a node's first output until a node shows or saves it. `path`: the classes on the way. */
  show(id: string, depth: number, path: ReadonlySet<string> = new Set()): void {
    const def = this.def(id);
    const [output] = def.outputs;
    if (!output || def.outputNode || depth > DEEPEST) return;
    const usual = usualNext({ class: def.name, side: "output", slot: 0, type: output.type });
    const passed = new Set([...path, def.name]);
    const names = [...usual, ...(output.type === "*" ? [] : this.takers(output.type)), "PreviewAny"];
    const next = names
      .flatMap((name) => this.catalogue.get(name) ?? [])
      .find((each) => !passed.has(each.name) && this.inputFor(each, output.type));
    if (!next) return;
    const added = this.add(next);
    this.join(id, added);
    this.feed(added, depth + 1);
    this.show(added, depth + 1, passed);
  }

  /** Link outputs to the inputs of the same name, else to the first free one of their type: each output once. */
  private join(from: string, to: string): void {
    for (const [slot, output] of this.def(from).outputs.entries()) {
      const open = this.openInputs(to).filter((input) => fits(input.type, output.type));
      const input =
        open.find(({ name }) => name === output.name) ?? (this.feeds(from, to, output.type) ? undefined : open[0]);
      if (input) this.link({ id: from, slot }, to, input);
    }
    const first = this.inputFor(this.def(to), this.def(from).outputs[0]?.type ?? "*");
    if (first && !linksOf(this.level).some((link) => String(link.origin_id) === from && String(link.target_id) === to))
      this.link({ id: from, slot: 0 }, to, first);
  }

  /** Whether a link of that type leads from one node to the other. */
  private feeds(from: string, to: string, type: string): boolean {
    return linksOf(this.level).some(
      (link) => String(link.origin_id) === from && String(link.target_id) === to && link.type === type,
    );
  }

  private takers(type: string): string[] {
    return [...this.catalogue.values()]
      .filter((def) => def.outputNode && this.inputFor(def, type))
      .map((def) => def.name);
  }

  private inputFor(def: NodeDef, type: string): InputDef | undefined {
    return shownInputs(newNode(def, 0, [0, 0]), def).find(
      (input) => input.widget === null && (input.type === "*" ? def.name === "PreviewAny" : fits(input.type, type)),
    );
  }

  private link(from: { id: string; slot: number }, to: string, input: InputDef): void {
    const targetSlot = this.node(to).inputs?.findIndex((slot) => slot.name === input.name) ?? -1;
    if (targetSlot < 0) return;
    const type = this.def(from.id).outputs[from.slot]?.type ?? input.type;
    this.level = connect(this.level, { origin: from.id, originSlot: from.slot, target: to, targetSlot }, type);
  }

  /** The node and those that follow it. */
  private reachable(id: string): Set<string> {
    const found = new Set([id]);
    for (let size = 0; size !== found.size; ) {
      size = found.size;
      for (const link of linksOf(this.level)) if (found.has(String(link.origin_id))) found.add(String(link.target_id));
    }
    return found;
  }
}

const needsSockets = (def: NodeDef): boolean => def.inputs.some((input) => input.required && input.widget === null);
