import { describe, expect, it } from "vitest";
import { clamp, shown, stepped } from "./numbers";
import type { InputDef } from "./schema";

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
  it("stay within their bounds", () => {
    expect(clamp(int, "-3")).toBe(0);
    expect(clamp(float, "1000")).toBe(100);
    expect(clamp(float, "7.123")).toBe(7.12);
  });

  it("keep seeds above 2^53 exact", () => {
    expect(clamp(int, "18446744073709551615")).toBe(2n ** 64n - 1n);
    expect(stepped(int, 2n ** 60n, 1)).toBe(2n ** 60n + 1n);
  });

  const width: InputDef = { ...int, name: "width", min: 16, max: 8190, step: 8 };

  it("use whole steps, counted from the minimum", () => {
    expect(["101", "99", "100", "3", "9999", "64.4"].map((text) => clamp(width, text))).toEqual([
      104, 96, 104, 16, 8184, 64,
    ]);
    const odd: InputDef = { ...int, name: "kernel", min: 1, max: 31, step: 2 };
    expect(["8", "9", "40"].map((text) => clamp(odd, text))).toEqual([9, 9, 31]);
    const shift: InputDef = { ...int, name: "shift", min: -100, max: 100, step: 8 };
    expect(["-97", "0"].map((text) => clamp(shift, text))).toEqual([-100, 4]);
  });

  it("step from a file's value to the next whole step", () => {
    expect([1, 2, -1, -2].map((steps) => stepped(width, 101, steps))).toEqual([104, 112, 96, 88]);
    expect([1, -1].map((steps) => stepped(width, 104, steps))).toEqual([112, 96]);
    expect(stepped(width, 8184, 1)).toBe(8184);
  });

  it.each(["abc", "2*3", "1,5,2", "--1", "NaN", "Infinity"])("refuse %s", (text) => {
    expect(clamp(int, text)).toBeNull();
    expect(clamp(float, text)).toBeNull();
  });

  it("accept values that files hold instead of a number", () => {
    expect(stepped(int, 1.5, 1)).toBe(3);
    expect(stepped(int, "x" as unknown as number, 1)).toBe(1);
    expect(stepped(float, null as unknown as number, 2)).toBe(0.2);
    expect(shown(float, undefined)).toBe("");
  });
});
