/**
 * JSON with exact integers. Seeds go up to 2^64, which a double cannot hold: such integers are read as BigInt and
 * written with all digits.
 */

export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

const MARK = "\u0001int:";
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Throws SyntaxError for invalid JSON. NaN and Infinity, which Python writes, become null. */
export function parseJson(text: string): Json {
  const clean = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (!/\d{16}|NaN|Infinity/.test(clean)) return JSON.parse(clean) as Json;
  const marked = clean
    .replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (token) => (token[0] === '"' ? token : "null"))
    .replace(TOKEN, (token) => {
      const exact = token[0] === '"' || !/^-?\d{16,}$/.test(token) || Number.isSafeInteger(Number(token));
      return exact ? token : JSON.stringify(MARK + token);
    });
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
  ) as Json;
}

export function writeJson(value: unknown, indent?: number): string {
  let found = false;
  const text = JSON.stringify(
    value,
    (_, entry: unknown) => {
      if (typeof entry !== "bigint") return entry;
      found = true;
      return MARK + entry.toString();
    },
    indent,
  );
  return found ? text.replace(/"\\u0001int:(-?\d+)"/g, "$1") : text;
}
