import { describe, expect, it } from "vitest";
import type { InputDef } from "../document/schema";
import { nextValue } from "./seeds";

const seed: InputDef = {
  name: "seed",
  type: "INT",
  required: true,
  widget: "int",
  min: 0,
  max: 18446744073709551615n,
  controlled: true,
  folder: "input",
};

describe("a seed after a run", () => {
  it("stays, counts exactly past 2^53, and stops at its bounds", () => {
    expect(nextValue(seed, 5, "fixed")).toBeUndefined();
    expect(nextValue(seed, 5, "increment")).toBe(6);
    expect(nextValue(seed, 9007199254740991, "increment")).toBe(9007199254740992n);
    expect(nextValue(seed, 18446744073709551615n, "increment")).toBeUndefined();
    expect(nextValue(seed, 0, "decrement")).toBeUndefined();
    const random = nextValue(seed, 0, "randomize") as number;
    expect(Number.isSafeInteger(random) && random >= 0).toBe(true);
  });

  it("keeps to its steps", () => {
    const width: InputDef = { ...seed, name: "width", min: 16, max: 64, step: 8 };
    expect(nextValue(width, 56, "increment")).toBe(64);
    expect(nextValue(width, 64, "increment")).toBeUndefined();
    expect(nextValue(width, 24, "decrement")).toBe(16);
    const drawn = new Set(Array.from({ length: 200 }, () => nextValue(width, 16, "randomize") as number));
    expect([...drawn].every((value) => value >= 16 && value <= 64 && value % 8 === 0)).toBe(true);
    expect(drawn.size).toBeGreaterThan(3);
  });

  it("goes through choices and stops at their ends", () => {
    const file: InputDef = { ...seed, type: "COMBO", choices: ["a", "b"] };
    expect(nextValue(file, "a", "increment")).toBe("b");
    expect(nextValue(file, "b", "increment")).toBe("b");
    expect(["a", "b"]).toContain(nextValue(file, "a", "randomize"));
  });
});
