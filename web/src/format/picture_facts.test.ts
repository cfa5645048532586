import { describe, expect, it } from "vitest";
import { pictureFacts } from "./picture_facts";

describe("the facts about how a picture was made", () => {
  it("list each text once by its node, and the values in a fixed order", () => {
    const facts = pictureFacts({
      "1": { class_type: "CLIPTextEncode", inputs: { text: "a pear", clip: ["4", 1] }, _meta: { title: "Prompt" } },
      "2": { class_type: "CLIPTextEncode", inputs: { text: "  ", clip: ["4", 1] } },
      "3": { class_type: "CLIPTextEncode", inputs: { text: "a pear", clip: ["4", 1] } },
      "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "tiny.safetensors" } },
      "5": { class_type: "KSampler", inputs: { steps: 20, seed: 18446744073709551615n, cfg: ["9", 0] } },
      "6": { class_type: "KSampler", inputs: { steps: 8, seed: 1 } },
    } as never);
    expect(facts.texts).toEqual([{ title: "Prompt", text: "a pear" }]);
    expect(facts.values).toEqual([
      { name: "ckpt_name", value: "tiny.safetensors" },
      { name: "seed", value: "18446744073709551615" },
      { name: "seed", value: "1" },
      { name: "steps", value: "20" },
      { name: "steps", value: "8" },
    ]);
  });
});
