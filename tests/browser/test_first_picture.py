"""The first visit, and what running a workflow shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.waiting import becomes

pytestmark = pytest.mark.slow

PICTURE = ".node-picture img"


def _node(page: Any, title: str) -> Any:
    return page.get_by_role("article", name=title, exact=True)


def _field(page: Any, node: str, name: str) -> Any:
    return _node(page, node).get_by_role("spinbutton", name=name, exact=True)


def _type(page: Any, node: str, name: str, value: str) -> None:
    _field(page, node, name).focus()
    _field(page, node, name).fill(value)
    page.keyboard.press("Tab")


@pytest.mark.newcomer
def test_a_newcomers_first_picture(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector(PICTURE)
    page.keyboard.press("g")
    page.wait_for_selector(".thumbnail img")
    page.keyboard.press(".")  # the panel has taken room from the canvas
    page.locator(PICTURE).click()
    assert page.locator(".viewer img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128


def test_only_what_changed_runs_again(page: Any) -> None:
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(PICTURE)
    page.get_by_role("textbox", name="text").first.fill("a green pear that no other test has had painted")
    page.keyboard.press("Control+Enter")
    _node(page, "Encode the prompt").locator(".node-badge", has_text=" s").wait_for()  # and not "tokens", its input
    page.locator(".node-badge").nth(8).wait_for()
    for known in ("Read the checkpoint", "What to avoid", "Encode what to avoid", "Size"):
        assert _node(page, known).get_by_title("Cached").count() == 1, known
    for ran in ("Prompt", "Encode the prompt", "Sample", "Decode", "Save"):
        assert _node(page, ran).get_by_title("Cached").count() == 0, ran


def test_a_validation_error_is_shown_in_place(page: Any) -> None:
    _node(page, "Decode").locator(".node-header").click()
    page.keyboard.press("Delete")
    page.keyboard.press("Control+Enter")
    trouble = _node(page, "Save").get_by_role("alert")
    trouble.wait_for()
    assert _node(page, "Save").get_attribute("data-state") == "error"


def test_interrupt(page: Any, server: Any) -> None:
    _type(page, "Sample", "steps", "5000")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node[data-state=running] .node-preview")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".node[data-state=running]", state="detached")
    becomes(page, lambda: server.get("/queue")["queue_running"], [])


def test_a_reload_in_the_middle_of_a_run(page: Any, server: Any) -> None:
    _type(page, "Sample", "steps", "4000")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node[data-state=running] .node-preview")
    page.reload()
    page.wait_for_selector(".node[data-state=running]")
    assert _field(page, "Sample", "steps").input_value() == "4000"
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".node[data-state=running]", state="detached")


def test_the_queue_under_pause(page: Any, server: Any) -> None:
    page.keyboard.press("q")
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("New runs wait").wait_for()
    page.get_by_label("Number of runs").fill("3")
    page.keyboard.press("Control+Enter")
    page.locator(".run-count", has_text="3").wait_for()
    before = [item[1] for item in server.get("/queue")["queue_pending"]]
    page.get_by_role("button", name="Move down").first.click()
    page.locator(f".job[title='{before[1]}'] + .job[title='{before[0]}']").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).first.click()
    page.locator(f".job[title='{before[1]}']").wait_for(state="detached")
    assert [item[1] for item in server.get("/queue")["queue_pending"]] == [before[0], before[2]]
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Queue is empty").wait_for()


def test_a_dropped_picture_brings_its_workflow(page: Any, server: Any) -> None:
    page.get_by_role("textbox", name="text").first.fill("a blue car")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(PICTURE)
    picture = max((server.home / "output").glob("*.png"), key=lambda path: path.stat().st_mtime_ns)
    page.get_by_role("button", name="New workflow").click()
    _drop(page, picture)
    page.wait_for_selector(".node")
    assert page.get_by_role("textbox", name="text").first.input_value() == "a blue car"


def _drop(page: Any, path: Path) -> None:
    page.evaluate(
        """async ([name, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            document.querySelector(".canvas").dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        [path.name, list(path.read_bytes())],
    )


def test_a_reload_in_the_middle_of_a_run_keeps_the_picture_before_it(page: Any) -> None:
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(PICTURE)
    before = page.locator(PICTURE).get_attribute("src")
    page.wait_for_selector(".node[data-state=running]", state="detached")
    _type(page, "Sample", "steps", "4001")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node[data-state=running] .node-preview")
    assert page.locator(PICTURE).get_attribute("src") == before
    page.reload()
    page.wait_for_selector(".node[data-state=running]")
    page.wait_for_selector(PICTURE)
    assert page.locator(PICTURE).get_attribute("src") == before
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".node[data-state=running]", state="detached")


@pytest.mark.newcomer
def test_the_greeting_is_out_of_the_way_of_runs_and_counts_them(page: Any, server: Any) -> None:
    server.post("/history", {"clear": True})
    page.reload()
    greeting = page.locator(".welcome")
    greeting.get_by_text("Press Run for your first picture.").wait_for()
    _type(page, "Sample", "steps", "40")
    page.keyboard.press("Control+Enter")
    seen = "document.querySelector('.node[data-state=running] .node-preview')"
    page.wait_for_function(f"() => {seen} && !document.querySelector('.welcome')")
    greeting.get_by_text("That was your first picture.").wait_for()
    assert page.locator(PICTURE).count() == 1
    page.reload()
    greeting.get_by_text("That was your first picture.").wait_for()
    _type(page, "Sample", "steps", "21")
    page.keyboard.press("Control+Enter")
    greeting.get_by_text("Press Run for another picture.").wait_for()
    _type(page, "Sample", "steps", "22")
    page.keyboard.press("Control+Enter")
    becomes(page, lambda: server.get("/settings").get("Sumi.welcome"), False)
    assert greeting.count() == 0
