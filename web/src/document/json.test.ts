import { describe, expect, it } from "vitest";
import { parseJson, writeJson } from "./json";

describe("exact integers", () => {
  it.each([
    '{"seed":18446744073709551615}',
    "[9007199254740993,-9007199254740993,12]",
    '{"text":"id 12345678901234567890, \\"quoted\\" \\\\ 12345678901234567890"}',
    '{"a":1.5,"b":1e+300,"c":[],"d":{}}',
  ])("%s is unchanged", (text) => {
    expect(writeJson(parseJson(text))).toBe(text);
  });

  it("reads Python's NaN and Infinity", () => {
    expect(parseJson('{"is_changed":[NaN],"a":-Infinity,"text":"NaN"}')).toEqual({
      is_changed: [null],
      a: null,
      text: "NaN",
    });
  });
});
