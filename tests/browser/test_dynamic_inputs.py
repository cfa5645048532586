"""Choices that bring fields, and sockets that grow: building, running and keeping workflows that have them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.canvas_page import document, drag, middle, node, nodes, on_screen, open_document, scale, socket
from tests.browser.waiting import becomes, last_run, until

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[1] / "graph" / "formats" / "files" / "growing_inputs.json"


def picture(number: int, y: int, values: list[int]) -> dict[str, Any]:
    outputs = [{"name": "IMAGE", "type": "IMAGE", "links": None}]
    size = {"pos": [0, y], "size": [270, 120]}
    return {"id": number, "type": "EmptyImage", "inputs": [], "outputs": outputs, "widgets_values": values, **size}


@pytest.fixture
def pictures(page: Any, tmp_path: Path) -> Any:
    """Two pictures of one colour, and a note to the right that leaves room for more nodes."""
    note = {"id": 3, "type": "Note", "pos": [1350, 650], "size": [200, 60], "widgets_values": ["end"]}
    listed = [picture(1, 0, [64, 32, 1, 0xFF0000]), picture(2, 300, [64, 64, 1, 0x0000FF]), note]
    open_document(page, tmp_path / "pictures.json", {"nodes": listed, "links": [], "version": 0.4})
    return page


def put(page: Any, start: tuple[int, str], title: str, x: int, y: int) -> None:
    """Drop a link from an output on the empty canvas, and choose the node to put there."""
    drag(page, middle(socket(page, *start, "output")), on_screen(page, 1, x, y))
    page.get_by_role("combobox", name="Search nodes").fill(title)
    page.keyboard.press("Enter")


def link(page: Any, start: tuple[int, str], end: tuple[int, str]) -> None:
    drag(page, middle(socket(page, *start, "output")), middle(socket(page, *end, "input")))


def sockets(page: Any, number: int) -> list[str]:
    return [slot["name"] for slot in nodes(page)[number]["inputs"]]


def choose(page: Any, number: int, field: str, option: str) -> None:
    node(page, number).locator(f"[data-widget='{field}'] button").click()
    page.get_by_role("option", name=option, exact=True).click()


def test_a_graph_of_choices_and_growing_sockets_is_built_and_run(pictures: Any, server: Any) -> None:
    page = pictures
    put(page, (1, "IMAGE"), "Resize Image/Mask", 400, 0)
    resize = node(page, 4)
    resize.get_by_role("spinbutton", name="height").wait_for()
    choose(page, 4, "resize_type", "scale width")
    resize.get_by_role("spinbutton", name="height").wait_for(state="detached")
    field = resize.get_by_role("spinbutton", name="width")
    field.click()
    field.fill("48")
    page.keyboard.press("Enter")
    put(page, (4, "resized"), "BatchImagesNode", 750, 0)
    node(page, 5).wait_for()
    assert sockets(page, 5) == ["images.image0", "images.image1"]
    link(page, (2, "IMAGE"), (5, "image1"))
    assert sockets(page, 5) == ["images.image0", "images.image1", "images.image2"]
    put(page, (5, "IMAGE"), "ImageCompare", 1050, 0)
    link(page, (2, "IMAGE"), (6, "image_b"))
    server.post("/history", {"clear": True})
    page.get_by_role("button", name="Run", exact=True).click()
    until(page, lambda: server.get("/history"))
    entry = last_run(page, server)
    sent = {number: (each["class_type"], each["inputs"]) for number, each in entry["prompt"][2].items()}
    size = {"resize_type": "scale width", "resize_type.width": 48}
    assert sent["4"] == ("ResizeImageMaskNode", {"input": ["1", 0], **size, "scale_method": "area"})
    assert sent["5"] == ("BatchImagesNode", {"images.image0": ["4", 0], "images.image1": ["2", 0]})
    assert sent["6"] == ("ImageCompare", {"image_a": ["5", 0], "image_b": ["2", 0]})
    assert entry["status"]["status_str"] == "success"
    assert [len(entry["outputs"]["6"][name]) for name in ("a_images", "b_images")] == [2, 1]
    compare(page, 6)


def compare(page: Any, number: int) -> None:
    """Move the slider between a red picture and a blue one by pointer, keyboard and touch."""
    area = node(page, number).locator(".compared")
    slider = area.get_by_role("slider", name="Compare")
    slider.wait_for()
    page.wait_for_function("() => [...document.querySelectorAll('.compared img')].every((image) => image.complete)")
    box = area.bounding_box()

    def colour(share: float) -> str:
        picture = Image.open(io.BytesIO(area.screenshot())).convert("RGB")
        red, _, blue = picture.getpixel((int(picture.width * share), int(picture.height * 0.6)))
        return "red" if red > blue else "blue"

    def at(share: float) -> tuple[float, float]:
        return box["x"] + box["width"] * share, box["y"] + box["height"] * 0.5

    becomes(page, lambda: (colour(0.4), colour(0.6)), ("red", "blue"))
    drag(page, middle(slider), at(0.7))
    assert int(slider.get_attribute("aria-valuenow")) == pytest.approx(70, abs=2)
    becomes(page, lambda: (colour(0.4), colour(0.6)), ("red", "red"))
    where = nodes(page)[number]["pos"]
    slider.focus()
    for key, value in (("Home", 0), ("ArrowRight", 2), ("Shift+ArrowRight", 12), ("ArrowLeft", 10), ("End", 100)):
        page.keyboard.press(key)
        becomes(page, lambda: slider.get_attribute("aria-valuenow"), str(value))
    session = page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.9), ("touchMove", 0.5), ("touchMove", 0.3), ("touchEnd", None)):
        points = [] if share is None else [{"x": at(share)[0], "y": at(share)[1], "id": 0}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    becomes(page, lambda: int(slider.get_attribute("aria-valuenow")) in range(28, 33), True)
    becomes(page, lambda: (colour(0.4), colour(0.6)), ("blue", "blue"))
    assert nodes(page)[number]["pos"] == where, "the node stays where it is"
    far_out(page, area)
    area.get_by_role("button", name="Next").click()
    area.get_by_text("2 / 2").wait_for()
    area.get_by_role("button", name="Enlarge").click()
    page.locator(".viewer").wait_for()


def far_out(page: Any, area: Any) -> None:
    """Zoom out until nodes are painted, where the comparison shows half of each picture, and back."""
    at = middle(area)
    page.mouse.move(*at)
    before = scale(page)
    page.mouse.wheel(0, 600)
    page.wait_for_selector(".canvas[data-far]")

    def colours() -> tuple[str, ...]:
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        step = 20 * scale(page) / before
        found = (shot.getpixel((int(at[0] + side * step), int(at[1]))) for side in (-1, 1))
        return tuple("red" if red > 150 > blue else "blue" if blue > 150 > red else "other" for red, _, blue in found)

    becomes(page, colours, ("red", "blue"))
    page.mouse.wheel(0, -600)
    area.wait_for()


def test_the_texts_of_a_custom_combo_are_the_choices_of_the_app(page: Any, server: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "combo.json", json.loads((FILE.parent / "custom_combo.json").read_text()))
    last = node(page, 10).get_by_role("textbox", name="option3")
    last.fill("a painting")
    node(page, 10).get_by_role("textbox", name="option4").wait_for()
    page.get_by_role("button", name="Show as an app").click()
    style = page.locator(".app-field", has_text="Style").get_by_role("button")
    style.click()
    assert page.locator(".popover [role=option]").all_inner_texts() == ["a photo", "a sketch", "a painting"]
    page.get_by_role("option", name="a painting").click()
    page.get_by_role("button", name="Show the graph").click()
    assert nodes(page)[10]["widgets_values"] == ["a painting", 2, "a photo", "a sketch", "a painting", ""]
    server.post("/history", {"clear": True})
    page.get_by_role("button", name="Run", exact=True).click()
    until(page, lambda: server.get("/history"))
    texts = {"option1": "a photo", "option2": "a sketch", "option3": "a painting", "option4": ""}
    assert last_run(page, server)["prompt"][2]["10"]["inputs"] == {"choice": "a painting", "index": 2, **texts}


def test_a_choice_among_the_inputs_of_a_choice(pictures: Any) -> None:
    page = pictures
    put(page, (1, "IMAGE"), "SaveImageAdvanced", 400, 0)
    choose(page, 4, "format", "avif")
    choose(page, 4, "format.save_mode", "animated")
    node(page, 4).get_by_role("spinbutton", name="fps").wait_for()
    values = ["ComfyUI", "avif", "auto", "sRGB", 18, "animated", 6.0, 0]
    assert nodes(page)[4]["widgets_values"] == values
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo").click()
    node(page, 4).get_by_role("spinbutton", name="fps").wait_for(state="detached")
    assert nodes(page)[4]["widgets_values"] == [*values[:5], "still images"]


def test_a_file_of_another_front_end_is_kept(page: Any, tmp_path: Path) -> None:
    given = json.loads(FILE.read_text())
    open_document(page, tmp_path / "grown.json", given)
    node(page, 5).get_by_role("spinbutton", name="loop_count").wait_for()
    node(page, 3).locator("[data-widget='resize_type.megapixels']").get_by_text("linked").wait_for()
    assert document(page) == given
