"""A node shows that its picture is being uploaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import middle, node, open_document
from tests.browser.waiting import until

pytestmark = pytest.mark.slow

PICTURE = Path(__file__).parents[2] / "workflows" / "inpaint.webp"
WORKFLOW = PICTURE.with_suffix(".json")


def test_an_upload_is_seen_until_it_has_ended(page: Any, tmp_path: Path) -> None:
    _loader(page, tmp_path)
    held: list[Any] = []
    page.route("**/upload/image", lambda route: held.append(route))
    with page.expect_request("**/upload/image"):
        page.locator(".loaded-picture input[type=file]").set_input_files(str(PICTURE))
    page.get_by_role("status").get_by_text("Uploading").wait_for()
    held[0].continue_()
    shown = page.locator(".loaded-picture img")
    shown.wait_for()
    page.get_by_role("status").get_by_text("Uploading").wait_for(state="detached")
    inside = (
        "image => image.getBoundingClientRect().bottom <= image.closest('.node-media').getBoundingClientRect().bottom"
    )
    assert shown.evaluate(inside), "all of the picture is seen"


def _drag(page: Any, kind: str, x: float, y: float, *paths: Path) -> None:
    """Drag in a file from the desktop, through the browser's protocol."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    session.detach()


def _loader(page: Any, tmp_path: Path) -> tuple[float, float]:
    loader = {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [500, 320], "widgets_values": ["", "image"]}
    outputs = [{"name": name, "type": name, "links": None} for name in ("IMAGE", "MASK")]
    doc = {"version": 0.4, "nodes": [{**loader, "mode": 0, "inputs": [], "outputs": outputs}], "links": []}
    open_document(page, tmp_path / "loader.json", doc)
    return middle(node(page, 1))


def _overlay(page: Any) -> bool:
    return page.evaluate("'dropping' in document.documentElement.dataset")


def test_the_drop_overlay_goes_wherever_the_file_lands(page: Any, tmp_path: Path) -> None:
    x, y = _loader(page, tmp_path)
    for kind in ("dragEnter", "dragOver"):
        _drag(page, kind, x, y, PICTURE)
    until(page, lambda: _overlay(page))
    _drag(page, "drop", x, y, PICTURE)
    page.locator(".loaded-picture img").wait_for()
    assert not _overlay(page)
    elsewhere = (100, 300)
    for kind in ("dragEnter", "dragOver"):
        _drag(page, kind, *elsewhere, PICTURE)
    until(page, lambda: _overlay(page))
    page.locator(".react-flow__pane").evaluate(
        "pane => pane.dispatchEvent(new DragEvent('dragleave', { bubbles: true, relatedTarget: null }))"
    )
    assert not _overlay(page), "out of the window"
    for kind in ("dragEnter", "dragOver"):
        _drag(page, kind, *elsewhere, WORKFLOW)
    until(page, lambda: _overlay(page))
    _drag(page, "drop", *elsewhere, WORKFLOW)
    page.get_by_role("tab", name="inpaint", exact=True).wait_for()
    assert not _overlay(page)
