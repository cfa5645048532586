/** Inputs that change with use: choices that add the inputs of the chosen option, and inputs that grow as they are linked. */

import type { GraphNode, InputSlot } from "./document";
import { firstValue, type InputDef, type NodeDef } from "./schema";

export const isDynamic = (def: NodeDef): boolean => def.inputs.some(({ options, grows }) => options ?? grows);

/** Required inputs before optional ones, the order in which widgets store their values. */
export const requiredFirst = (inputs: readonly InputDef[]): InputDef[] =>
  inputs.toSorted((first, second) => Number(second.required) - Number(first.required));

/** The inputs with those of chosen options after their choice, by full name. Growing inputs stay one entry. */
export function withChosen(inputs: readonly InputDef[], chosenFor: (choice: InputDef) => unknown): InputDef[] {
  return requiredFirst(inputs).flatMap((input) => {
    if (!input.options) return [input];
    const value = chosenFor(input);
    // Other values have no inputs of their own; the fields of the first option are shown, as the server reads them.
    const chosen = input.options.find(({ key }) => key === value) ?? input.options[0];
    const inner = (chosen?.inputs ?? []).map((each) => ({
      ...each,
      name: `${input.name}.${each.name}`,
      label: each.label ?? each.name,
    }));
    return [input, ...withChosen(inner, chosenFor)];
  });
}

/** The value of each choice of a new node. */
export const firstChosen = (def: NodeDef): InputDef[] => withChosen(def.inputs, firstValue);

/** The inputs with those of every option, to find node types by what they take. */
export const possibleInputs = (inputs: readonly InputDef[]): InputDef[] =>
  inputs.flatMap((input) => [input, ...(input.options ?? []).flatMap((option) => possibleInputs(option.inputs))]);

const NUMBER = /\d+$/;

/** The sockets that a growing input can have, by full name. */
export function membersOf(input: InputDef): InputDef[] {
  const { member, names } = input.grows as NonNullable<InputDef["grows"]>;
  return names.map((name) => {
    const label = member.label === undefined ? name : `${member.label}${NUMBER.exec(name)?.[0] ?? name}`;
    return { ...member, name: `${input.name}.${name}`, label, required: false, widget: null };
  });
}

const isLinked = (node: GraphNode, name: string): boolean =>
  (node.inputs ?? []).some((slot) => slot.name === name && (slot.link ?? null) !== null);

/** The growing input's sockets that a node shows: up to one more than the last linked one. */
export function grownMembers(input: InputDef, node: GraphNode): InputDef[] {
  const members = membersOf(input);
  const last = members.findLastIndex(({ name }) => isLinked(node, name));
  return members.slice(0, Math.max(input.grows?.min ?? 0, last + 2));
}

/** A free slot for an input. Other front ends show the label of a group's socket. */
export const newSlot = ({ name, label, type, widget }: InputDef): InputSlot => ({
  name,
  type,
  link: null,
  ...(label !== undefined && name.includes(".") && { label: shortName(name) }),
  ...(widget !== null && { widget: { name } }),
});

/** The end of a name in a group. */
export const shortName = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
