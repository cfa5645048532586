import { describe, expect, it } from "vitest";
import type { InputDef } from "../document/schema";
import { clamp, shown, stepped } from "./numbers";

const int: InputDef = {
  name: "seed",
  type: "INT",
  required: true,
  widget: "int",
  min: 0,
  max: 2n ** 64n - 1n,
  controlled: true,
  folder: "input",
};
const float: InputDef = {
  name: "cfg",
  type: "FLOAT",
  required: true,
  widget: "float",
  min: 0,
  max: 100,
  step: 0.1,
  round: 0.01,
  controlled: false,
  folder: "input",
};

describe("number fields", () => {
  it("keep to their bounds", () => {
    expect(clamp(int, "-3")).toBe(0);
    expect(clamp(float, "1000")).toBe(100);
    expect(clamp(float, "7.123")).toBe(7.12);
  });

  it("keep seeds past 2^53 exact", () => {
    expect(clamp(int, "18446744073709551615")).toBe(2n ** 64n - 1n);
    expect(stepped(int, 2n ** 60n, 1)).toBe(2n ** 60n + 1n);
  });

  it.each(["abc", "2*3", "1,5,2", "--1", "NaN", "Infinity"])("refuse %s", (text) => {
    expect(clamp(int, text)).toBeNull();
    expect(clamp(float, text)).toBeNull();
  });

  it("take what files hold in place of a number", () => {
    expect(stepped(int, 1.5, 1)).toBe(3);
    expect(stepped(int, "x" as unknown as number, 1)).toBe(1);
    expect(stepped(float, null as unknown as number, 2)).toBe(0.2);
    expect(shown(float, undefined)).toBe("");
  });
});
