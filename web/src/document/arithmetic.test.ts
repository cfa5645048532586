import { describe, expect, it } from "vitest";
import { calculated } from "./arithmetic";
import { typedNumber } from "./numbers";
import type { InputDef } from "./schema";

describe("arithmetic in number fields", () => {
  it.each([
    ["512*2", "1024"],
    ["(3+4)/2", "3.5"],
    ["2+3*4", "14"],
    ["10-4-3", "3"],
    ["64/8/2", "4"],
    ["-(2+3)", "-5"],
    ["2*-3", "-6"],
    ["2^10", "1024"],
    ["-2**2", "-4"],
    ["2^3^2", "512"],
    ["7%4", "3"],
    [".5*3", "1.5"],
    ["1e3/4", "250"],
    [" 8 × 4 ÷ 2 ", "16"],
    ["18446744073709551615-1", "18446744073709551614"],
  ])("calculates %s", (text, result) => {
    expect(calculated(text)).toBe(result);
  });

  it.each(["1/0", "5%0", "2*", "(1", "1)", "()", "2 3", "1..2", "a+1", "alert(1)", "", "0/0", "9".repeat(300)])(
    "refuses %s",
    (text) => {
      expect(calculated(text)).toBeNull();
    },
  );

  it("keeps results to the field's bounds and steps", () => {
    const width: InputDef = {
      name: "width",
      type: "INT",
      required: true,
      widget: "int",
      min: 16,
      max: 4096,
      step: 8,
      controlled: false,
      folder: "input",
    };
    const field = (text: string) => typedNumber(width, text);
    expect(["512*2", "512*100", "1001/2", "1024", "3*", "x"].map(field)).toEqual([1024, 4096, 504, 1024, null, null]);
    const cfg: InputDef = { ...width, name: "cfg", type: "FLOAT", widget: "float", min: 0, max: 100, step: 0.1 };
    expect(["7,25", "7,5*2", "(3+4)/2"].map((text) => typedNumber(cfg, text))).toEqual([7.25, 15, 3.5]);
  });
});
