"""The gallery: search, favourites, and deleting several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document, open_document
from tests.browser.waiting import becomes, until

pytestmark = pytest.mark.slow


def _pictures(prefix: str) -> dict[str, Any]:
    """A workflow that saves three small pictures without a model."""
    made = {
        "id": 1,
        "type": "EmptyImage",
        "pos": [0, 0],
        "size": [270, 130],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
        "widgets_values": [64, 64, 3, 0],
    }
    saved = {
        "id": 2,
        "type": "SaveImage",
        "pos": [400, 0],
        "size": [270, 300],
        "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
        "widgets_values": [prefix],
    }
    return {"version": 0.4, "nodes": [made, saved], "links": [[1, 1, 0, 2, 0, "IMAGE"]]}


def test_a_picture_is_sent_to_a_new_tab(page: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "sent.json", _pictures("sent"))
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img")
    page.keyboard.press("g")
    page.locator(".thumbnail img[alt^='sent']").first.click()
    tabs = page.get_by_role("tab").count()
    page.locator(".viewer").get_by_role("button", name="Load the picture in a new tab").click()
    until(page, lambda: page.get_by_role("tab").count() == tabs + 1)
    page.locator(".viewer").wait_for(state="detached")
    page.locator(".loaded-picture img").wait_for()
    (loader,) = document(page)["nodes"]
    assert loader["type"] == "LoadImage" and loader["widgets_values"][0].startswith("sent_")


def test_pictures_are_found_starred_and_deleted(page: Any, server: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "three.json", _pictures("samovar"))
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img")
    page.keyboard.press("g")
    tiles = page.locator(".thumbnail img[alt^='samovar']")
    until(page, lambda: tiles.count() == 3)
    search = page.get_by_role("searchbox", name="Search prompts")
    search.fill("nowhere")
    page.get_by_text("No pictures found").wait_for()
    search.fill("samov")
    until(page, lambda: tiles.count() == 3 and page.locator(".thumbnail").count() == 3)

    names = [str(tile.get_attribute("alt")) for tile in tiles.all()]
    page.get_by_role("checkbox", name=f"Select {names[0]}").check()
    page.get_by_role("button", name="Add to favourites").click()
    page.get_by_role("button", name="Show favourites").click()
    until(page, lambda: page.locator(".thumbnail").count() == 1)
    assert server.get("/settings/Sumi.favourites")[0]["filename"] == names[0]
    page.get_by_role("button", name="Show favourites").click()

    until(page, lambda: tiles.count() == 3)
    tiles.nth(0).click(modifiers=["Control"])
    tiles.nth(1).click(modifiers=["Shift"])
    page.get_by_text("2 selected").wait_for()
    page.get_by_role("button", name="Delete files").click()
    page.get_by_role("dialog", name="Delete the selected files").get_by_role("button", name="Delete files").click()
    until(page, lambda: tiles.count() == 1)
    left = [(server.home / "output" / name).exists() for name in names]
    assert left == [False, False, True]
    becomes(page, lambda: server.get("/settings/Sumi.favourites"), [])
