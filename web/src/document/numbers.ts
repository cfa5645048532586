/** The arithmetic of number fields. Integers past 2^53, such as seeds, stay exact. */

import { calculated } from "./arithmetic";
import type { InputDef } from "./schema";

/** The typed number, within bounds and on a step; null if the text is not a number. */
export function clamp(input: InputDef, text: string): number | bigint | null {
  const trimmed = text.trim();
  if (input.type === "INT") {
    if (/^[+-]?\d+$/.test(trimmed)) return bounded(input, BigInt(trimmed));
    const value = Number(trimmed);
    return Number.isFinite(value) ? bounded(input, BigInt(Math.round(value))) : null;
  }
  const value = Number(trimmed);
  if (trimmed === "" || !Number.isFinite(value)) return null;
  const least = input.min === undefined ? value : Math.max(Number(input.min), value);
  return rounded(input, input.max === undefined ? least : Math.min(Number(input.max), least));
}

/** The number or the result of the calculation that is typed, within bounds and on a step; null: it is neither. */
export function typedNumber(input: InputDef, text: string): number | bigint | null {
  const dotted = text.replaceAll(",", ".");
  const result = calculated(dotted);
  return clamp(input, dotted) ?? (result === null ? null : clamp(input, result));
}

/** The nearest integer within the bounds that is a whole number of steps from the minimum. */
function bounded(input: InputDef, value: bigint): number | bigint {
  const step = stepOf(input);
  let exact = floored(input, value + step / 2n);
  const [min, max] = [whole(input.min), whole(input.max)];
  if (min !== null && exact < min) exact = min;
  if (max !== null && exact > max) exact = floored(input, max);
  const number = Number(exact);
  return Number.isSafeInteger(number) ? number : exact;
}

const stepOf = (input: InputDef): bigint => BigInt(Math.max(1, Math.round(input.step ?? 1)));

/** The greatest integer up to `value` that is a whole number of steps from the minimum. */
function floored(input: InputDef, value: bigint): bigint {
  const step = stepOf(input);
  const over = (value - (whole(input.min) ?? 0n)) % step;
  return value - (over < 0n ? over + step : over);
}

/** Converts a file's value to a number, since files may hold anything. null: it cannot be a number. */
function whole(value: unknown): bigint | null {
  if (typeof value === "bigint") return value;
  const number = Number(value ?? Number.NaN);
  return Number.isFinite(number) ? BigInt(Math.round(number)) : null;
}

export const decimals = (step: number): number =>
  Math.min(
    10,
    (/\.(\d+)/.exec(String(step))?.[1] ?? "").length ||
      (/e-(\d+)/.exec(String(step)) ? Number(/e-(\d+)/.exec(String(step))?.[1]) : 0),
  );

function rounded(input: InputDef, value: number): number {
  const places = Math.max(decimals(input.round ?? 0), decimals(input.step ?? 0.01), 2);
  return Number(value.toFixed(places));
}

/** The value that is `steps` steps away. From between two steps, the first step leads to the next one. */
export function stepped(input: InputDef, value: number | bigint, steps: number): number | bigint {
  if (input.type === "INT") {
    const from = whole(value) ?? 0n;
    const below = floored(input, from);
    return bounded(input, below + (BigInt(steps) + (steps < 0 && below !== from ? 1n : 0n)) * stepOf(input));
  }
  return clamp(input, String((Number(value) || 0) + steps * (input.step ?? 0.01))) ?? value;
}

export function shown(input: InputDef, value: number | bigint | undefined): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "bigint" || input.type === "INT") return String(value);
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
