"""A picture on its way to the server says so on its node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import open_document

pytestmark = pytest.mark.slow

PICTURE = Path(__file__).parents[2] / "workflows" / "inpaint.webp"


def test_an_upload_is_seen_until_it_has_ended(page: Any, tmp_path: Path) -> None:
    loader = {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [500, 320], "widgets_values": ["", "image"]}
    outputs = [{"name": name, "type": name, "links": None} for name in ("IMAGE", "MASK")]
    doc = {"version": 0.4, "nodes": [{**loader, "mode": 0, "inputs": [], "outputs": outputs}], "links": []}
    open_document(page, tmp_path / "loader.json", doc)
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
