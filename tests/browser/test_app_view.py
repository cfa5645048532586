"""The app view: form and graph are two views of one document, and everything in the form works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document, node, open_document
from tests.browser.conftest import ROOT
from tests.browser.test_narrow_screens import OUTSIDE
from tests.browser.test_running_mask import workflow as masked_workflow
from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes, last_run, until

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "workflows" / "text_to_image.json"
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SLOW = 180_000
"""Milliseconds to wait for a first picture, whose worker may still be starting on a busy machine."""


def to_app(page: Any) -> None:
    page.get_by_role("button", name="Show as an app").click()
    page.locator(".app-field").first.wait_for()


def to_graph(page: Any) -> None:
    page.get_by_role("button", name="Show the graph").click()
    page.locator(".node").first.wait_for()


def prompt(page: Any) -> Any:
    return page.get_by_role("textbox", name="Prompt", exact=True)


def save(server: Any, name: str, doc: Any) -> None:
    path = server.home / "user" / "default" / "workflows" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(doc))


def quick(**extra: Any) -> Any:
    """The example with few steps and a seed that stays."""
    doc = json.loads(EXAMPLE.read_text())
    for entry in doc["nodes"]:
        if entry["type"] == "KSampler":
            entry["widgets_values"][:3] = [1, "fixed", 3]
    return {**doc, "extra": {**doc["extra"], **extra}}


def test_form_and_graph_are_one_document_with_one_undo(page: Any) -> None:
    to_app(page)
    prompt(page).fill("a blue car")
    page.get_by_role("button", name="Increase Steps").click()
    to_graph(page)
    assert node(page, 2).locator("textarea").input_value() == "a blue car"
    assert node(page, 7).get_by_role("spinbutton", name="steps").input_value() == "21"
    node(page, 2).locator("textarea").fill("a green tree")
    page.locator(".brand").click()
    page.keyboard.press("a")
    page.locator(".app-field").first.wait_for()
    assert prompt(page).input_value() == "a green tree"
    undo = page.get_by_role("button", name="Undo (Ctrl+Z)")
    undo.click()
    assert prompt(page).input_value() == "a blue car"
    undo.click()
    assert page.get_by_role("spinbutton", name="Steps").input_value() == "20"
    undo.click()
    assert prompt(page).input_value() == "a red apple"
    page.keyboard.press("Control+Shift+z")
    becomes(page, lambda: prompt(page).input_value(), "a blue car")


def test_a_run_shows_its_preview_then_the_picture_and_the_session(page: Any, server: Any) -> None:
    to_app(page)
    assert page.get_by_role("button", name="Run", exact=False).count() == 1
    prompt(page).fill("a yellow star on a blue background")  # not answered from the cache of an earlier test
    page.evaluate(
        """() => new MutationObserver(() => { window.previewed ||= Boolean(document.querySelector(".app-preview")) })
            .observe(document.body, {childList: true, subtree: true})"""
    )
    page.locator(".run-button").click()
    page.wait_for_function("() => window.previewed", timeout=SLOW)
    page.locator(".app-shot img").wait_for(timeout=SLOW)
    last_run(page, server)
    page.get_by_role("button", name="Draw a new seed", exact=True).click()
    page.get_by_role("spinbutton", name="Steps").click()
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    strip = page.get_by_role("region", name="Pictures of this session")
    becomes(page, lambda: strip.locator("img").count(), 2)
    ran = last_run(page, server)["prompt"][2]
    assert ran["7"]["inputs"]["steps"] == 3 and ran["7"]["inputs"]["seed"] != 1
    strip.locator("button").last.click()
    page.locator(".viewer").wait_for()
    page.keyboard.press("Escape")
    page.reload()
    page.locator(".app-field").first.wait_for()
    becomes(page, lambda: strip.locator("img").count(), 2)


def test_the_lock_decides_whether_a_seed_changes_after_a_run(page: Any, server: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "quick.json", quick())
    to_app(page)
    seed = page.get_by_role("spinbutton", name="Seed")
    lock = page.get_by_role("button", name="Keep this seed")
    assert lock.get_attribute("aria-pressed") == "true"
    page.locator(".run-button").click()
    page.locator(".app-shot img").wait_for(timeout=SLOW)
    last_run(page, server)
    assert seed.input_value() == "1"
    lock.click()
    assert lock.get_attribute("aria-pressed") == "false"
    page.locator(".run-button").click()
    until(page, lambda: seed.input_value() != "1")


def test_width_and_height_are_swapped_in_one_step(page: Any) -> None:
    to_app(page)
    width, height = (page.get_by_role("spinbutton", name=name) for name in ("Width", "Height"))
    width.click()
    page.keyboard.type("256")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Swap width and height").click()
    assert (width.input_value(), height.input_value()) == ("128", "256")
    page.get_by_role("button", name="Undo (Ctrl+Z)").click()
    assert (width.input_value(), height.input_value()) == ("256", "128")


def test_more_has_the_other_fields_by_node(page: Any) -> None:
    to_app(page)
    assert page.get_by_role("group", name="Save").count() == 0
    page.locator("summary").click()
    assert page.get_by_role("group", name="Save").get_by_role("textbox").input_value() == "Sumi"
    page.get_by_role("group", name="Sample").get_by_role("button", name="Decrease").click()
    to_graph(page)
    assert node(page, 7).get_by_role("spinbutton", name="denoise").input_value() == "0.99"


def test_a_refused_field_says_what_is_wrong(page: Any, tmp_path: Path) -> None:
    doc = quick()
    doc["nodes"][0]["widgets_values"] = ["gone.safetensors"]
    open_document(page, tmp_path / "gone.json", doc)
    to_app(page)
    page.locator(".run-button").click()
    assert "gone.safetensors" in page.locator("[data-kind=model] .app-problem").inner_text()


def test_the_author_arranges_fields(page: Any) -> None:
    to_app(page)
    page.get_by_role("button", name="Arrange the fields").click()
    for name in ("Negative prompt", "Width", "Height", "Model", "Sampler", "Scheduler", "Number of pictures"):
        page.get_by_role("button", name=f"Remove {name}", exact=True).click()
        page.get_by_role("button", name=f"Remove {name}", exact=True).wait_for(state="detached")
    page.get_by_role("button", name="Move Seed up").click()
    names = page.locator(".app-arrange li > span")
    becomes(page, names.all_inner_texts, ["Prompt", "Steps", "Seed", "Guidance"])
    page.get_by_role("button", name="Add a field").click()
    page.get_by_role("option", name="Sample: Change from the original (7)").click()
    becomes(page, lambda: names.count(), 5)
    page.get_by_role("switch", name="Open this workflow as an app").check()
    page.get_by_role("button", name="Done").click()
    page.locator(".app-field").first.wait_for()
    assert page.locator("[data-kind=model]").count() == 0
    to_graph(page)
    extra = document(page)["extra"]
    assert extra["linearMode"] is True
    assert extra["linearData"]["inputs"] == [[2, "text"], [7, "steps"], [7, "seed"], [7, "cfg"], [7, "denoise"]]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert document(page)["extra"]["linearData"]["inputs"][-1] == [7, "cfg"]


def test_a_field_of_a_node_is_shown_in_the_app_and_removed(page: Any) -> None:
    denoise = node(page, 7).locator(".field-label", has_text="denoise")
    denoise.click(button="right")
    page.get_by_role("menuitem", name="Show in app").click()
    page.get_by_text("Shown in the app").wait_for()
    assert document(page)["extra"]["linearData"]["inputs"][-1] == [7, "denoise"]
    to_app(page)
    page.get_by_role("spinbutton", name="Change from the original").wait_for()
    to_graph(page)
    denoise.click(button="right")
    page.get_by_role("menuitem", name="Remove from the app").click()
    page.get_by_text("No longer among the app’s fields").wait_for()
    assert [7, "denoise"] not in document(page)["extra"]["linearData"]["inputs"]


def test_a_picture_is_uploaded_and_its_mask_painted(page: Any, server: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "mask.json", masked_workflow("none.png"))
    to_app(page)
    field = page.locator("[data-kind=picture]")
    field.locator("input[type=file]").set_input_files(str(ROOT / "workflows" / "inpaint.webp"))
    field.locator("img").wait_for()
    field.get_by_role("button", name="Paint a mask").click()
    sheet = page.locator(".mask-sheet canvas")
    sheet.wait_for()
    until(page, lambda: page.get_by_role("button", name="Use this mask").is_enabled())
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Use this mask").click()
    page.locator(".mask-sheet").wait_for(state="detached")
    becomes(page, lambda: "masks/" in field.get_by_role("button", name="Picture").inner_text(), True)
    assert list((server.home / "input" / "masks").glob("inpaint-mask*.png"))


@pytest.mark.parametrize("name", ["mine.app.json", "marked.json"])
def test_a_file_marked_as_an_app_opens_as_one(name: str, page: Any, server: Any) -> None:
    save(server, name, quick(**({"linearMode": True} if name == "marked.json" else {})))
    page.keyboard.press("w")
    panel = page.get_by_role("complementary", name="Workflows")
    panel.get_by_text(name.removesuffix(".json"), exact=True).click()
    page.locator(".app-field").first.wait_for()


# -- the page of one app ------------------------------------------------------------------------------------------


def canvas_files() -> set[str]:
    """The built files that contain the canvas or React Flow."""
    marks = ("react-flow__node", "node-header")
    built = [*(ROOT / "web" / "dist" / "assets").glob("*.js"), *(ROOT / "web" / "dist" / "assets").glob("*.css")]
    return {path.name for path in built if any(mark in path.read_text() for mark in marks)}


def test_the_page_of_an_app_loads_no_canvas_and_little(server: Any, browser: Any) -> None:
    save(server, "folder/mine.json", quick())
    assert canvas_files()
    for viewport in (DESK, PHONE):
        with profile(browser, viewport=viewport) as context:
            page = context.new_page()
            requests: list[Any] = []
            page.on("requestfinished", lambda request, requests=requests: requests.append(request))
            page.goto(f"{server.url}/app/folder/mine")
            page.locator(".app-field").first.wait_for()
            prompt(page).fill("a yellow star")
            sizes = {request.url: request.sizes() for request in list(requests)}
            assert not {url.rsplit("/", 1)[-1] for url in sizes} & canvas_files()
            assert not any("object_info" in url for url in sizes)
            assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes.values()) <= 200_000, (
                sizes
            )
            page.get_by_role("spinbutton", name="Steps").is_visible()
            page.keyboard.press("Control+Enter")
            page.locator(".app-shot img").wait_for(timeout=SLOW)
            assert last_run(page, server)["prompt"][2]["2"]["inputs"]["text"] == "a yellow star"
            assert not {request.url.rsplit("/", 1)[-1] for request in requests} & canvas_files()


def test_changes_on_the_page_survive_a_reload_and_are_saved(server: Any, browser: Any) -> None:
    save(server, "mine.json", quick())
    with profile(browser) as context:
        page = context.new_page()
        page.goto(f"{server.url}/app/mine")
        prompt(page).fill("a dog")
        page.reload()
        becomes(page, lambda: prompt(page).input_value(), "a dog")
        page.keyboard.press("Control+s")
        page.get_by_text("Saved", exact=False).first.wait_for()
        saved = json.loads((server.home / "user" / "default" / "workflows" / "mine.json").read_text())
        assert next(entry for entry in saved["nodes"] if entry["id"] == 2)["widgets_values"] == ["a dog"]
        page.get_by_role("link", name="Edit the graph").click()
        page.locator(".node").first.wait_for()
        page.get_by_role("tab", name="mine").wait_for()


def test_the_list_of_apps_shows_pictures_and_leads_to_them(server: Any, browser: Any) -> None:
    save(server, "plain.json", quick())
    save(server, "mine.app.json", quick())
    with profile(browser) as context:
        page = context.new_page()
        page.goto(f"{server.url}/app")
        apps = page.get_by_role("region", name="Apps")
        becomes(page, lambda: apps.get_by_role("link").all_inner_texts(), ["No picture yet\nmine"])
        loaded = "(pictures) => pictures.every((one) => one.naturalWidth > 0)"
        until(page, lambda: page.get_by_role("region", name="Examples").locator("img").evaluate_all(loaded))
        apps.get_by_role("link", name="mine").click()
        page.locator(".app-field").first.wait_for()
        page.locator(".run-button").click()
        page.locator(".app-shot").wait_for(timeout=SLOW)
        kept = server.home / "user" / "default" / "app_pictures" / "mine.webp"
        until(page, kept.is_file)
        page.get_by_role("link", name="All apps").click()
        until(page, lambda: apps.locator("img").evaluate_all(loaded) and apps.locator("img").count() == 1)
        page.goto(f"{server.url}/app/nowhere")
        page.get_by_text("There is no app “nowhere”.").wait_for()


# -- on a phone ---------------------------------------------------------------------------------------------------

SMALL = """() => [...document.querySelectorAll(".app-view :is(button, input:not([hidden]), textarea, summary)")]
    .filter((one) => one.checkVisibility() && !one.closest(".app-strip"))
    .map((one) => [one, (one.closest(".field, label") ?? one).getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.height < 40 || box.width < 28))
    .map(([one, box]) => `${one.getAttribute("aria-label") || one.textContent} ${box.width}×${box.height}`)"""


@pytest.fixture(params=[320, 390, 430])
def phone(request: pytest.FixtureRequest, server: Any, browser: Any, nothing_saved: None) -> Iterator[Any]:
    with profile(browser, viewport={"width": request.param, "height": 844}, has_touch=True, is_mobile=True) as context:
        yield visit(context, server.url, ".app-field")


def test_a_phone_opens_the_app_and_a_thumb_works_it(phone: Any, server: Any) -> None:
    page = phone
    assert page.evaluate(f"({OUTSIDE})()") == []
    page.locator("summary").tap()
    assert page.evaluate(SMALL) == []
    page.get_by_role("spinbutton", name="Steps").tap()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Decrease Steps").tap()
    page.get_by_role("button", name="Draw a new seed", exact=True).tap()
    page.get_by_role("button", name="Sampler").tap()
    page.get_by_role("option", name="ddim", exact=True).tap()
    run = page.locator(".run-button")
    box = run.bounding_box()
    assert box["y"] + box["height"] <= 844 and box["height"] >= 44
    run.tap()
    page.locator(".app-shot img").wait_for(timeout=SLOW)
    ran = last_run(page, server)["prompt"][2]["7"]["inputs"]
    assert ran["steps"] == 3 and ran["sampler_name"] == "ddim" and ran["seed"] != 1
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.get_by_role("button", name="Arrange the fields").tap()
    assert page.evaluate(SMALL) == [] and page.evaluate(f"({OUTSIDE})()") == []
    page.get_by_role("button", name="Remove Scheduler").tap()
    page.get_by_role("button", name="Remove Scheduler").wait_for(state="detached")
    page.locator(".view-toggle").tap()
    page.locator(".canvas").wait_for()


def test_fields_say_what_they_do(browser: Any, server: Any) -> None:
    with profile(browser) as context:
        page = visit(context, server.url)
        to_app(page)
        tip = page.get_by_role("tooltip")
        page.locator("[data-kind=steps]").hover()
        tip.filter(has_text="Steps").filter(has_text="steps").wait_for()
        page.locator("[data-kind=count]").hover()
        tip.filter(has_text="number of runs beside Run").wait_for()
        page.locator(".app-side").first.hover()
        tip.filter(has_text="Width").wait_for()
        page.mouse.move(1000, 500)
        tip.wait_for(state="detached")


def test_a_long_press_says_what_a_field_does(browser: Any, server: Any) -> None:
    with profile(browser, viewport=PHONE, has_touch=True, is_mobile=True, locale="zh-CN") as context:
        page = visit(context, server.url, ".app-field")
        field = page.locator("[data-kind=guidance]")
        field.evaluate("field => field.scrollIntoView({ block: 'center' })")
        box = field.bounding_box()
        touch = context.new_cdp_session(page)
        point = {"x": box["x"] + 40, "y": box["y"] + box["height"] / 2}
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
        tip = page.get_by_role("tooltip")
        tip.filter(has_text="提示词").wait_for()
        edges = tip.bounding_box()
        assert edges["x"] >= 0 and edges["x"] + edges["width"] <= PHONE["width"]
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_an_example_starts_from_a_picture_and_a_painted_mask(browser: Any, server: Any) -> None:
    with profile(browser) as context:
        page = visit(context, f"{server.url}/app/inpaint", ".app-field")
        field = page.locator(".app-picture")
        field.locator("img[alt='example_dog-mask.png']").wait_for()
        page.get_by_role("button", name="Paint a mask").click()
        page.get_by_role("button", name="Use this mask").wait_for()
        painted = "canvas => canvas.getContext('2d').getImageData(64, 64, 1, 1).data[3]"
        until(page, lambda: page.locator(".mask-sheet canvas").first.evaluate(painted) > 0)
        page.get_by_role("button", name="Cancel").click()
        field.locator("input[type=file]").set_input_files(str(ROOT / "workflows" / "lora.webp"))
        field.locator("img[alt='lora.webp']").wait_for()
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator(".app-result img").first.wait_for(timeout=SLOW)
        assert last_run(page, server)["status"]["status_str"] == "success"
