import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dismiss, forgetRuns, notify, useNotices } from "./notices";

const shown = () => useNotices.getState().notices.map(({ text }) => text);

describe("notices", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    useNotices.setState({ notices: [] });
  });
  afterEach(() => void vi.useRealTimers());

  it("go by themselves unless they are errors, which are closed", () => {
    notify("info", "file.saved");
    notify("error", "file.unreadable", "a.json");
    vi.advanceTimersByTime(3_600_000);
    expect(shown()).toEqual(["file.unreadable"]);
    dismiss(useNotices.getState().notices[0]?.id as number);
    expect(shown()).toEqual([]);
  });

  it("of runs are over when the workflow is run again, and only of that workflow", () => {
    notify("error", "file.unreadable", "a.json");
    notify("error", "run.invalid", undefined, { tab: "one", id: "7" });
    notify("error", "run.failed", "", { tab: "two", id: "7" });
    forgetRuns("one");
    expect(shown()).toEqual(["file.unreadable", "run.failed"]);
  });
});
