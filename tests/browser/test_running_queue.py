"""The editor while workflows run: progress, marks, the queue, errors on nodes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.waiting import becomes, last_run, steady, until

pytestmark = pytest.mark.slow

PICTURE = ".node-picture img"


def node(page: Any, title: str) -> Any:
    return page.get_by_role("article", name=title, exact=True)


def set_number(page: Any, title: str, name: str, value: str) -> None:
    field = node(page, title).get_by_role("spinbutton", name=name, exact=True)
    field.focus()
    field.fill(value)
    page.keyboard.press("Tab")


def run(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def queue(page: Any) -> None:
    page.get_by_role("button", name="Queue").first.click()
    page.get_by_role("complementary", name="Queue").wait_for()


@pytest.fixture(autouse=True)
def empty_queue(server: Any) -> Any:
    yield
    server.post("/queue", {"clear": True, "pause": False})
    server.post("/interrupt", {})


def test_a_running_node_shows_progress_preview_and_then_its_time(page: Any, server: Any) -> None:
    set_number(page, "Sample", "steps", "60")
    run(page)
    # All in one look: a moment later the run may have ended.
    seen = page.wait_for_function(
        """() => {
            const node = document.querySelector("article[aria-label='Sample'][data-state=running]");
            const progress = Number(node?.querySelector("[role=progressbar]")?.ariaValueNow);
            if (!(progress > 5) || !node.querySelector("img.node-preview")) return null;
            if (!/^[1-9][0-9]* % · text_to_image$/.test(document.title)) return null;
            const [icon, animation] = [document.querySelector("#icon").href, getComputedStyle(node).animationName];
            return {progress, animation, icon};
        }"""
    ).json_value()
    assert 5 < seen["progress"] <= 100
    assert seen["animation"] == "glow"
    assert "stroke-dasharray" in seen["icon"]
    page.wait_for_selector(PICTURE)
    badge = node(page, "Sample").locator(".node-badge")
    badge.filter(has_text=re.compile(r"^[0-9.]+ s$")).wait_for()
    prompt_id = last_run(page, server)["prompt"][1]
    sampled = server.get(f"/jobs/{prompt_id}")["timings"]["7"]
    assert float(badge.inner_text().split()[0]) == pytest.approx(sampled, abs=0.06)
    page.wait_for_function("() => document.title === 'text_to_image · Sumi'")
    assert page.locator(".node[data-state=running], .node-preview").count() == 0


def test_a_failed_node_shows_its_message_and_can_be_gone_to(page: Any, server: Any) -> None:
    page.get_by_role("textbox", name="text").first.fill("x" * 40)
    (server.home / "input").mkdir(exist_ok=True)
    (server.home / "input" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    page.evaluate(
        """() => {
            const workflow = {version: 0.4, links: [[1, 1, 0, 2, 0, "IMAGE"]], groups: [], nodes: [
                {id: 1, type: "LoadImage", title: "Broken", pos: [5000, 5000], size: [270, 314], mode: 0, flags: {},
                 inputs: [], outputs: [{name: "IMAGE", type: "IMAGE", links: [1]},
                                       {name: "MASK", type: "MASK", links: null}],
                 widgets_values: ["broken.png", "image"]},
                {id: 2, type: "SaveImage", pos: [0, 0], size: [270, 200], mode: 0, flags: {},
                 inputs: [{name: "images", type: "IMAGE", link: 1}], outputs: [], widgets_values: ["x"]}]};
            const data = new DataTransfer();
            data.items.add(new File([JSON.stringify(workflow)], "broken.json", {type: "application/json"}));
            document.querySelector(".canvas").dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }"""
    )
    page.get_by_role("tab", name="broken").wait_for()
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Show", exact=True).click()
    trouble = node(page, "Broken").get_by_role("alert")
    trouble.wait_for()
    assert "broken.png" in trouble.inner_text()
    steady(page)
    box = node(page, "Broken").bounding_box()
    assert 300 < box["x"] + box["width"] / 2 < 1200, "it has come to the middle"
    assert node(page, "Broken").get_attribute("data-selected") == "true"


def test_a_validation_error_sits_on_the_input_and_goes_with_an_edit(page: Any, server: Any) -> None:
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    until(page, lambda: "safetensors" in page.evaluate("() => navigator.clipboard.readText()"))
    text = page.evaluate("() => navigator.clipboard.readText()")
    page.get_by_role("button", name="New workflow").click()
    page.wait_for_selector(".node", state="detached")
    broken = re.sub(r'"[^"]*\.safetensors"', '"nowhere.safetensors"', text)
    page.evaluate("text => navigator.clipboard.writeText(text)", broken)
    page.keyboard.press("Control+v")
    page.wait_for_selector(".node")
    page.keyboard.press("Control+Enter")
    marked = page.locator(".widget[data-problem]")
    marked.wait_for()
    assert "nowhere.safetensors" in marked.get_attribute("title")
    assert (
        "nowhere.safetensors"
        in page.get_by_role("article", name="Read the checkpoint").get_by_role("alert").inner_text()
    )
    marked.get_by_role("button").click()
    page.get_by_role("listbox").get_by_role("option").first.click()
    marked.wait_for(state="detached")
    run(page)
    page.keyboard.press(".")  # the pasted nodes are wider than the page
    page.wait_for_selector(PICTURE)


def test_batch_cancel_one_all_and_retry(page: Any, server: Any) -> None:
    set_number(page, "Sample", "steps", "4000")
    page.get_by_label("Number of runs").fill("4")
    run(page)
    queue(page)
    page.locator(".run-count", has_text="3").wait_for()
    page.locator(".job").nth(3).wait_for()
    becomes(page, page.locator(".rail-button .badge").inner_text, "4")
    waiting = [item[1] for item in server.get("/queue")["queue_pending"]]
    page.get_by_role("button", name="Cancel", exact=True).nth(1).click()
    page.locator(f".job[title='{waiting[1]}']").wait_for(state="detached")
    page.locator(".job").nth(2).get_by_role("button", name="Move up").click()
    page.locator(f".job[title='{waiting[2]}'] + .job[title='{waiting[0]}']").wait_for()
    assert [item[1] for item in server.get("/queue")["queue_pending"]] == [waiting[2], waiting[0]]
    running = server.get("/queue")["queue_running"][0][1]
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_text("Queue is empty").wait_for()
    assert server.get("/queue")["queue_pending"] == []
    stopped = page.locator(f".job[title='{running}']", has_text="Stopped")
    stopped.wait_for()
    stopped.get_by_role("button", name="Try again").click()
    page.locator(f".job[title='{running}']").get_by_role("button", name="Stop").wait_for()
    page.wait_for_selector(".node[data-state=running] .node-preview")


def test_progress_goes_to_the_workflow_it_belongs_to(page: Any, server: Any) -> None:
    page.get_by_role("tab", name="text_to_image").wait_for()
    set_number(page, "Sample", "steps", "4000")
    run(page)
    page.wait_for_selector(".node[data-state=running] .node-preview")
    page.get_by_role("button", name="Workflows").click()
    page.get_by_role("button", name="text to image").click()
    page.wait_for_function("() => document.querySelectorAll('[role=tab]').length === 2")
    assert page.locator(".node[data-state=running]").count() == 0, "the other workflow does not run"
    tabs = page.get_by_role("tab")
    tabs.first.get_by_role("img", name="Running").wait_for()
    page.get_by_role("textbox", name="text").first.fill("the second one")
    run(page)  # waits behind the first
    page.locator(".run-count", has_text="1").wait_for()
    server.post("/interrupt", {})
    page.wait_for_selector(PICTURE)
    tabs.first.get_by_role("img", name="Stopped").wait_for()
    tabs.first.click()
    page.wait_for_function("() => !document.querySelector('.verdict')")
    assert page.locator(PICTURE).count() == 0, "the picture is the second workflow's"


def test_it_runs_by_itself_when_something_changes(page: Any, server: Any) -> None:
    page.get_by_label("Repeat").select_option("change")
    run(page)
    page.wait_for_selector(PICTURE)
    until(page, lambda: server.get("/prompt")["exec_info"]["queue_remaining"] == 0)
    done = len(server.get("/history"))
    page.get_by_role("textbox", name="text").first.fill("a violet door")
    until(page, lambda: len(server.get("/history")) == done + 1)
    node(page, "Save").locator(".node-header").click()
    page.keyboard.press("ArrowRight")  # what is moved is not changed
    page.wait_for_timeout(1500)
    assert len(server.get("/history")) == done + 1
    assert server.get("/prompt")["exec_info"]["queue_remaining"] == 0
    page.get_by_label("Repeat").select_option("once")
    page.get_by_role("textbox", name="text").first.fill("a green door")
    page.wait_for_timeout(1200)
    assert len(server.get("/history")) == done + 1
    assert server.get("/prompt")["exec_info"]["queue_remaining"] == 0


def test_what_a_run_does_is_also_said(page: Any) -> None:
    spoken = page.locator(".unseen[role=status]")
    run(page)
    page.wait_for_selector(PICTURE)
    spoken.get_by_text("text_to_image: done").wait_for(state="attached")


def test_rows_show_the_seed_and_the_time(page: Any, server: Any) -> None:
    set_number(page, "Sample", "steps", "1")
    set_number(page, "Sample", "seed", "4711")
    server.post("/queue", {"pause": True})
    run(page)
    queue(page)
    row = page.locator(".queue .job").filter(has_text="seed 4711").first
    row.wait_for()
    assert re.search(r"\d{1,2}:\d{2}", row.inner_text())
    server.post("/queue", {"pause": False})


def test_seeds_may_change_after_each_run(page: Any, server: Any) -> None:
    set_number(page, "Sample", "steps", "1")
    seed = node(page, "Sample").get_by_role("spinbutton", name="seed", exact=True)
    page.keyboard.press("Control+,")
    page.get_by_role("radio", name="After each run").check(force=True)
    page.keyboard.press("Escape")
    becomes(page, lambda: server.get("/settings").get("Sumi.seeds"), "after")
    before = seed.input_value()
    run(page)
    until(page, lambda: seed.input_value() != before)
    entry = last_run(page, server)
    (sampled,) = [each["inputs"] for each in entry["prompt"][2].values() if "seed" in each["inputs"]]
    assert str(sampled["seed"]) == before, "the run gets the seed that the node showed"
