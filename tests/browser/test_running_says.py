"""What nodes say: their texts, and why the server refused one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import header, node, nodes, open_document

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
    """A primitive feeds a number, and the number is shown; beside it a node of a pack that is not there."""
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
    # Right below the one that is missing: what is said of that must not be behind this.
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
    assert nodes(page)[1]["widgets_values"] == [44, "increment"]
    node(page, 1).get_by_role("combobox", name="After each run").select_option("fixed")
    assert nodes(page)[1]["widgets_values"] == [44, "fixed"]


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
