import { describe, expect, it } from "vitest";
import { weighted } from "./prompt_weights";

/** A text with its selection between bars: `a |red| apple`; one bar is the cursor. */
function marked(text: string) {
  const [before = "", inside, after] = text.split("|");
  const whole = before + (after === undefined ? "" : inside) + (after ?? inside ?? "");
  return {
    text: whole,
    start: before.length,
    end: before.length + (after === undefined ? 0 : (inside as string).length),
  };
}

function changed(text: string, by = 0.05): string | null {
  const after = weighted(marked(text), by);
  return (
    after &&
    `${after.text.slice(0, after.start)}|${after.text.slice(after.start, after.end)}|${after.text.slice(after.end)}`
  );
}

describe("the weight of a part of a prompt", () => {
  it.each([
    ["a re|d apple", "a (|red|:1.05) apple"],
    ["a |red apple|, ripe", "a (|red apple|:1.05), ripe"],
    ["a | red |apple", "a  (|red|:1.05) apple"],
    ["a (|red|:1.05) apple", "a (|red|:1.1) apple"],
    ["a (re|d:1.05) apple", "a (|red|:1.1) apple"],
    ["a |(red:1.2)| apple", "a (|red|:1.25) apple"],
    ["a (re|d) apple", "a (|red|:1.15) apple"],
    ["((re|d:1.2) apple:1.1)", "((|red|:1.25) apple:1.1)"],
    ["((red:1.2) app|le:1.1)", "(|(red:1.2) apple|:1.15)"],
    ["(a |red| apple:1.2)", "(a (|red|:1.05) apple:1.2)"],
    ["smile \\(emo|te\\)", "smile \\((|emote|:1.05)\\)"],
    ["红苹|果", "(|红苹果|:1.05)"],
    ["blue-gr|een", "(|blue-green|:1.05)"],
  ])("rises: %s", (before, after) => {
    expect(changed(before)).toBe(after);
  });

  it("falls, passes 1 without brackets, and goes below 0", () => {
    expect(changed("a re|d apple", -0.05)).toBe("a (|red|:0.95) apple");
    expect(changed("a (|red|:1.05) apple", -0.05)).toBe("a |red| apple");
    expect(changed("a (|red|:0.95) apple")).toBe("a |red| apple");
    expect(changed("(|red|:0)", -0.05)).toBe("(|red|:-0.05)");
  });

  it("does nothing without a word", () => {
    expect(changed("a ,| b")).toBeNull();
    expect(changed("|")).toBeNull();
  });

  it("adds up exactly", () => {
    let now = marked("|red|");
    for (let turn = 0; turn < 7; turn += 1) now = weighted(now, 0.05) as typeof now;
    expect(now.text).toBe("(red:1.35)");
    for (let turn = 0; turn < 7; turn += 1) now = weighted(now, -0.05) as typeof now;
    expect(now.text).toBe("red");
  });
});
