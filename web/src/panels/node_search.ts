/** Searches node types: by name, category, socket type and the words of their texts, also with a typo. */

import { fits } from "../document/document";
import { possibleInputs } from "../document/dynamic_inputs";
import type { NodeDef } from "../document/schema";
import { translated } from "../i18n";

export interface Sought {
  text: string;
  /** Only nodes that fit this socket; null: all. */
  from?: { side: "input" | "output"; type: string } | null;
  /** Classes that come first among equally good matches, best first. */
  first?: readonly string[];
  /** Translations of the texts about nodes. */
  help?: Readonly<Record<string, string>> | null;
}

/** The nodes that match every word, best match first. Nodes that match with a typo follow the others. */
export function search(defs: readonly NodeDef[], { text, from = null, first = [], help = null }: Sought): NodeDef[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = new Map(first.map((name, index) => [name, index]));
  const scored = defs.flatMap((def) => {
    if (from && !meets(def, from)) return [];
    let score = 0;
    for (const word of words) {
      const points = matched(textsOf(def, help), word);
      if (points === 0) return [];
      score += points;
    }
    const place = rank.get(def.name);
    if (place !== undefined) score += words.length ? 15 / (1 + place / 4) : 1000 * (first.length - place);
    if (FAVOURITES.has(def.name)) score += 9;
    if (from && exactly(def, from)) score += 20;
    if (def.deprecated || def.category.startsWith("_") || /advanced|training|api/.test(def.category)) score -= 8;
    return [{ def, score }];
  });
  return scored
    .sort((one, other) => other.score - one.score || one.def.title.localeCompare(other.def.title))
    .map(({ def }) => def);
}

interface Texts {
  help: Sought["help"];
  title: string;
  name: string;
  label: string;
  category: string;
  types: string[];
  /** The words of the title and of the class's name, for typos. */
  words: string[];
  /** All that is said about the node and its fields. */
  about: string;
}

const known = new WeakMap<NodeDef, Texts>();

function textsOf(def: NodeDef, help: Sought["help"]): Texts {
  const cached = known.get(def);
  if (cached && cached.help === help) return cached;
  const inputs = possibleInputs(def.inputs);
  const said = [def.description, ...[...inputs, ...def.outputs].map(({ tooltip }) => tooltip ?? "")].filter(Boolean);
  const both = help ? [...said, ...said.map((text) => translated(text, help))] : said;
  const labels = [...inputs, ...def.outputs].flatMap(({ name, label }) => (label ? [name, label] : [name]));
  const texts: Texts = {
    help,
    title: def.title.toLowerCase(),
    name: def.name.toLowerCase(),
    label: (def.label ?? "").toLowerCase(),
    category: `${def.category} ${def.categoryLabel ?? ""}`.toLowerCase(),
    types: [...def.inputs, ...def.outputs].map((entry) => entry.type.toLowerCase()),
    words: [...new Set([...wordsIn(def.title), ...wordsIn(def.name), def.name.toLowerCase()])],
    about: [...labels, ...both].join("\n").toLowerCase(),
  };
  known.set(def, texts);
  return texts;
}

/** `KSamplerAdvanced` and `VAE Decode (Tiled)` as words. */
const wordsIn = (name: string): string[] =>
  name
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]{2,})([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\d]+/u)
    .filter(Boolean);

/** How well a word matches; 0: not at all. */
function matched({ title, name, label, category, types, words, about }: Texts, word: string): number {
  if (title === word || name === word || label === word) return 100;
  if (title.startsWith(word) || name.startsWith(word) || label.startsWith(word)) return 60;
  if (title.includes(` ${word}`)) return 45;
  if (title.includes(word) || name.includes(word) || label.includes(word)) return 30;
  if (category.includes(word)) return 12;
  if (types.some((type) => type.includes(word))) return 8;
  const spread = allowedTypos(word);
  const least = Math.min(...words.map((other) => typos(word, other, spread)));
  if (least <= spread) return 7 - 2 * least;
  return about.includes(word) ? 2 : 0;
}

/** Short words must be right: with one letter wrong they are often other words. */
const allowedTypos = (word: string): number => (word.length < 4 ? 0 : word.length < 7 ? 1 : 2);

/**
 * The letters to change, add, drop, or swap with a neighbour to turn one word into the start of another or all of it
 * (optimal string alignment distance). More than `most` are not counted exactly.
 */
export function typos(word: string, other: string, most: number): number {
  const target = other.length > word.length + most ? other.slice(0, word.length) : other;
  if (Math.abs(word.length - target.length) > most) return most + 1;
  let previous: number[] = [];
  let row = Array.from({ length: target.length + 1 }, (_, index) => index);
  for (let i = 1; i <= word.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= target.length; j += 1) {
      const same = word[i - 1] === target[j - 1];
      let cost = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + Number(!same));
      const swapped = i > 1 && j > 1 && word[i - 1] === target[j - 2] && word[i - 2] === target[j - 1];
      if (swapped) cost = Math.min(cost, (previous[j - 2] as number) + 1);
      next.push(cost);
    }
    [previous, row] = [row, next];
  }
  return row[target.length] as number;
}

const FAVOURITES = new Set([
  "KSampler",
  "CLIPTextEncode",
  "CheckpointLoaderSimple",
  "VAEDecode",
  "VAEEncode",
  "EmptyLatentImage",
  "SaveImage",
  "PreviewImage",
  "LoadImage",
  "LoraLoader",
]);

const meets = (def: NodeDef, from: NonNullable<Sought["from"]>) =>
  from.side === "output"
    ? possibleInputs(def.inputs).some((input) => fits(input.type, from.type))
    : def.outputs.some((output) => fits(from.type, output.type));

const exactly = (def: NodeDef, from: NonNullable<Sought["from"]>) =>
  from.side === "output"
    ? possibleInputs(def.inputs).some((input) => input.type === from.type)
    : def.outputs.some((output) => output.type === from.type);
