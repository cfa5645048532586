import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dismiss, forgetRefusals, forgetRuns, forgetUnreachable, notify, useNotices } from "./notices";

const shown = () => useNotices.getState().notices.map(({ text }) => text);

describe("notices", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    useNotices.setState({ notices: [] });
  });
  afterEach(() => void vi.useRealTimers());

  it("disappear after a while unless they are errors, which must be closed", () => {
    notify("info", "file.saved");
    notify("error", "file.unreadable", "a.json");
    vi.advanceTimersByTime(3_600_000);
    expect(shown()).toEqual(["file.unreadable"]);
    dismiss(useNotices.getState().notices[0]?.id as number);
    expect(shown()).toEqual([]);
  });

  it("about a run disappear when that workflow runs again", () => {
    notify("error", "file.unreadable", "a.json");
    notify("error", "run.invalid", undefined, { tab: "one", id: "7" });
    notify("error", "run.failed", "", { tab: "two", id: "7" });
    forgetRuns("one");
    expect(shown()).toEqual(["file.unreadable", "run.failed"]);
  });

  it("do not pile up: a workflow has one message about its runs", () => {
    for (const details of ["a", "b", "c", "d"]) notify("error", "run.refused", details, { tab: "one" });
    notify("error", "run.refused", "e", { tab: "two" });
    expect(useNotices.getState().notices.map(({ details }) => details)).toEqual(["d", "e"]);
    notify("error", "run.invalid", undefined, { tab: "one", id: "7" });
    expect(shown()).toEqual(["run.refused", "run.invalid"]);
    for (const name of ["a", "b", "c", "d"]) notify("error", "file.unreadable", name);
    expect(shown()).toHaveLength(3);
  });

  it("about a rejection disappear when the workflow changes; about a failure they stay", () => {
    notify("error", "run.refused", "", { tab: "one" });
    notify("error", "run.failed", "", { tab: "two" });
    for (const tab of ["one", "two"]) forgetRefusals(tab);
    expect(shown()).toEqual(["run.failed"]);
  });

  it("about an unreachable server disappear when it is back", () => {
    notify("error", "run.unreachable", undefined, { tab: "one" });
    notify("error", "run.unreachable");
    forgetUnreachable();
    expect(shown()).toEqual([]);
  });
});
