"""Pictures dropped on the canvas, weights in prompts, arithmetic, the empty canvas, room for new nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.canvas_page import document, node, nodes, open_document
from tests.browser.waiting import becomes, until

pytestmark = pytest.mark.slow

EMPTY = {"version": 0.4, "nodes": [], "links": []}


def _drop(page: Any, path: Path, shift: bool = False) -> None:
    page.locator(".react-flow__pane").evaluate(
        """(pane, { bytes, name, shiftKey }) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
            for (const type of ["dragenter", "dragover", "drop"])
                pane.dispatchEvent(new DragEvent(type, {
                    bubbles: true, cancelable: true, dataTransfer, shiftKey, clientX: 700, clientY: 400,
                }));
        }""",
        {"bytes": list(path.read_bytes()), "name": path.name, "shiftKey": shift},
    )


def test_a_picture_dropped_on_the_canvas_is_loaded_there(page: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "empty.json", EMPTY)
    page.get_by_text("press / to add a node").wait_for()
    bare = tmp_path / "bare.png"
    Image.new("RGB", (64, 64), "teal").save(bare)
    _drop(page, bare)
    until(page, lambda: len(nodes(page)) == 1 and nodes(page)[1]["widgets_values"][0] == "bare.png")
    page.locator(".loaded-picture img").wait_for()
    assert page.get_by_text("press / to add a node").count() == 0
    assert page.get_by_role("alert").inner_text() == ""
    _drop(page, bare, shift=True)
    until(page, lambda: len(nodes(page)) == 2)
    boxes = [node(page, number).bounding_box() for number in (1, 2)]
    apart = any(
        a[side] + a[size] <= b[side]
        for a, b in (boxes, boxes[::-1])
        for side, size in (("x", "width"), ("y", "height"))
    )
    assert apart, "a new node covers no other"


def test_the_weight_of_a_word_changes_by_keys(page: Any) -> None:
    prompt = node(page, 2).locator("textarea")
    prompt.click()
    prompt.fill("a red apple")
    prompt.evaluate("field => field.setSelectionRange(3, 3)")
    page.keyboard.press("Control+ArrowUp")
    becomes(page, prompt.input_value, "a (red:1.05) apple")
    page.keyboard.press("Control+ArrowUp")
    becomes(page, prompt.input_value, "a (red:1.1) apple")
    for _ in range(3):
        page.keyboard.press("Control+ArrowDown")
    becomes(page, prompt.input_value, "a (red:0.95) apple")
    assert nodes(page)[2]["widgets_values"][0] == "a (red:0.95) apple"


def test_a_number_field_calculates(page: Any) -> None:
    width = node(page, 6).get_by_role("spinbutton", name="width")
    width.click()
    width.fill("(64+32)*2")
    page.keyboard.press("Enter")
    becomes(page, width.input_value, "192")


def test_the_list_of_steps_leads_back_and_forth(page: Any) -> None:
    width = node(page, 6).get_by_role("spinbutton", name="width")
    for value in ("256", "512"):
        width.click()
        width.fill(value)
        page.keyboard.press("Enter")
        becomes(page, width.input_value, value)
    page.get_by_role("button", name="History").click()
    steps = page.get_by_role("dialog", name="History").get_by_role("listitem")
    said = ["Changed a value", "Changed a value", "Opened"]
    becomes(page, lambda: [text.split(":")[0] for text in steps.all_inner_texts()], said)
    steps.last.get_by_role("button").click()
    becomes(page, width.input_value, "128")
    steps.first.get_by_role("button").click()
    becomes(page, width.input_value, "512")


def test_a_group_is_selected_by_keyboard(page: Any, tmp_path: Path) -> None:
    group = {"title": "Mine", "bounding": [100, 100, 300, 200], "color": "#3f789e", "font_size": 24, "flags": {}}
    open_document(page, tmp_path / "grouped.json", {**EMPTY, "groups": [group]})
    page.keyboard.press("Shift+G")
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Undo").click()
    page.keyboard.press("Shift+G")
    page.keyboard.press("F2")
    page.keyboard.type("Yours")
    page.keyboard.press("Enter")
    until(page, lambda: document(page)["groups"][0]["title"] == "Yours")
