"""Messages on nodes: their output texts, refusals, missing pictures and slow uploads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.canvas_page import header, node, nodes, open_document
from tests.browser.waiting import until

pytestmark = pytest.mark.slow


def _number(of: int, value: int, after: str, link: int) -> dict[str, Any]:
    return {
        "id": of,
        "type": "PrimitiveNode",
        "pos": [0, 0],
        "size": [210, 82],
        "outputs": [{"name": "INT", "type": "INT", "links": [link], "widget": {"name": "value"}}],
        "widgets_values": [value, after],
    }


def _counted() -> dict[str, Any]:
    """A primitive feeds a number node, whose value is shown, next to a node of a missing pack."""
    number = {
        "id": 2,
        "type": "PrimitiveInt",
        "pos": [300, 0],
        "size": [270, 82],
        "inputs": [{"name": "value", "type": "INT", "link": 1, "widget": {"name": "value"}}],
        "outputs": [{"name": "INT", "type": "INT", "links": [2]}],
        "widgets_values": [0, "fixed"],
    }
    shown = {
        "id": 3,
        "type": "PreviewAny",
        "pos": [650, 0],
        "size": [210, 100],
        "inputs": [{"name": "source", "type": "*", "link": 2}],
        "outputs": [],
        "widgets_values": [],
    }
    missing = {"id": 4, "type": "A <b>pack's</b> node", "pos": [0, 300], "size": [300, 100], "widgets_values": []}
    # Right below the one that is missing: its message must not be hidden behind this one.
    note = {"id": 5, "type": "Note", "pos": [0, 440], "size": [300, 100], "widgets_values": ["a note"]}
    links = [[1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, "INT"]]
    return {"nodes": [_number(1, 42, "increment", 1), number, shown, missing, note], "links": links, "version": 0.4}


def test_a_text_is_shown_on_its_node_and_a_primitive_counts(page: Any, tmp_path: Path) -> None:
    doc = _counted()
    doc["nodes"] = doc["nodes"][:3]
    open_document(page, tmp_path / "counted.json", doc)
    said = node(page, 3).locator(".node-said")
    for value in ("42", "43"):
        page.keyboard.press("Control+Enter")
        said.filter(has_text=value).wait_for()
    assert nodes(page)[1]["widgets_values"] == [43, "increment"]
    node(page, 1).get_by_role("combobox", name="Between runs").select_option("fixed")
    assert nodes(page)[1]["widgets_values"] == [43, "fixed"]


def test_a_class_that_is_missing_is_said_on_its_node(page: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "missing.json", _counted())
    page.keyboard.press("Control+Enter")
    trouble = node(page, 4).locator(".node-trouble")
    trouble.filter(has_text='there is no node class "A <b>pack\'s</b> node"').wait_for()
    in_front = """element => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return element.contains(document.elementFromPoint(x + width / 2, y + height - 6));
    }"""
    assert trouble.evaluate(in_front), "the next node does not hide it"
    header(page, 4).click()
    page.keyboard.press("Delete")
    page.keyboard.press("Control+Enter")
    node(page, 3).locator(".node-said").filter(has_text="42").wait_for()


def test_a_picture_that_is_not_on_the_server_is_said(page: Any, tmp_path: Path) -> None:
    slots = [
        {"name": "image", "type": "COMBO", "widget": {"name": "image"}, "link": None},
        {"name": "upload", "type": "IMAGEUPLOAD", "widget": {"name": "upload"}, "link": None},
    ]
    loader = {
        "id": 1,
        "type": "LoadImage",
        "pos": [0, 0],
        "size": [280, 314],
        "inputs": slots,
        "outputs": [],
        "widgets_values": ["<i>gone.png", "image"],
    }
    open_document(page, tmp_path / "gone.json", {"nodes": [loader], "links": [], "version": 0.4})
    card = node(page, 1)
    card.get_by_text("<i>gone.png is not on the server").wait_for()
    assert card.get_by_role("button", name="Paint a mask").count() == 0
    Image.new("RGB", (32, 32), "red").save(tmp_path / "here.png")
    card.locator("input[type=file]").set_input_files(tmp_path / "here.png")
    card.get_by_role("img", name="here.png").wait_for()
    card.get_by_role("button", name="Paint a mask").wait_for()


def test_an_upload_that_takes_long_changes_the_node_it_was_for(page: Any, tmp_path: Path) -> None:
    def loader(name: str) -> dict[str, Any]:
        node = {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [280, 314], "widgets_values": [name, "image"]}
        return {"nodes": [{**node, "inputs": [], "outputs": []}], "links": [], "version": 0.4}

    Image.new("RGB", (32, 32), "red").save(tmp_path / "slow.png")
    held: list[Any] = []
    page.route("**/upload/image", lambda route: held.append(route))
    open_document(page, tmp_path / "first.json", loader("one.png"))
    node(page, 1).locator("input[type=file]").set_input_files(tmp_path / "slow.png")
    open_document(page, tmp_path / "second.json", loader("two.png"))
    until(page, lambda: held)
    with page.expect_response("**/object_info"):
        held[0].continue_()
    page.get_by_role("tab", name="first", exact=True).click()
    node(page, 1).get_by_role("img", name="slow.png").wait_for()
    page.get_by_role("tab", name="second", exact=True).click()
    node(page, 1).get_by_text("two.png is not on the server").wait_for()
    assert nodes(page)[1]["widgets_values"] == ["two.png", "image"]


def test_what_a_node_in_the_middle_says_is_shown_when_one_looks_at_it(page: Any) -> None:
    page.get_by_role("textbox", name="text").first.fill("a quiet owl")  # nothing that an earlier run has made
    page.keyboard.press("Tab")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node img[src*='/view']")
    prompt = page.locator(".node[aria-label='Prompt']")
    page.locator(".node[aria-label='Size'] .node-header").click()
    page.locator(".node-said").wait_for(state="detached")
    prompt.locator(".node-header").click()
    prompt.locator(".node-said", has_text="quiet</w> owl</w>").wait_for()
