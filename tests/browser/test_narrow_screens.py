"""The editor on a phone: everything needed is on the screen, and everything that opens can be closed by touch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import header, node, open_document
from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes, steady

pytestmark = pytest.mark.slow

PICTURE = Path(__file__).parents[2] / "workflows" / "inpaint.webp"

OUTSIDE = """root => [...(root ?? document).querySelectorAll("button, input, select, a, [role=tab]")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: false }) && !one.hidden)
    .filter((one) => !one.closest(".react-flow, .welcome-examples, .viewer-strip, .unseen"))
    .filter((one) => {
        const { left, right, width } = one.getBoundingClientRect();
        return width > 0 && (left < -0.5 || right > innerWidth + 0.5);
    })
    .map((one) => one.getAttribute("aria-label") || one.textContent || one.className)"""


@pytest.fixture(params=[320, 360, 390, 430])
def page(request: pytest.FixtureRequest, server: Any, browser: Any, nothing_saved: None) -> Iterator[Any]:
    screen = {"width": request.param, "height": 844}
    with profile(browser, viewport=screen, has_touch=True, is_mobile=True) as context:
        yield visit(context, server.url, ".canvas")


def _outside(page: Any, root: str | None = None) -> list[str]:
    return page.locator(root).evaluate(OUTSIDE) if root else page.evaluate(f"({OUTSIDE})()")


def _hit(page: Any, thing: Any) -> bool:
    """Return whether a touch on its middle hits it and not something above it."""
    return thing.evaluate(
        """one => {
            const { left, top, width, height } = one.getBoundingClientRect();
            const there = document.elementFromPoint(left + width / 2, top + height / 2);
            return there !== null && (one.contains(there) || there.contains(one));
        }"""
    )


@pytest.mark.newcomer
def test_all_of_the_frame_lies_on_the_screen(page: Any) -> None:
    page.locator(".welcome").wait_for()
    assert _outside(page) == []
    for name in ("Run", "Open a file", "Save", "New workflow", "Add a node", "Gallery", "Queue", "Settings"):
        assert _hit(page, page.get_by_role("button", name=name, exact=True)), name
    tab = page.get_by_role("tab", name="text_to_image")
    assert _hit(page, tab)
    assert tab.evaluate("tab => tab.scrollWidth <= tab.clientWidth"), "its name is read"
    welcome = page.locator(".welcome")
    close = welcome.get_by_role("button", name="Close", exact=True)
    assert _hit(page, close)
    close.tap()
    welcome.wait_for(state="detached")


def test_panels_and_dialogs_are_left_by_finger(page: Any) -> None:
    for name in ("Workflows", "Gallery", "Queue"):
        page.get_by_role("button", name=name, exact=True).tap()
        page.locator(".side-panel").wait_for()
        assert _outside(page) == [], name
        page.locator(".side-panel > header").get_by_role("button", name="Close", exact=True).tap()
        page.locator(".side-panel").wait_for(state="detached")
    for name in ("Settings",):
        page.get_by_role("button", name=name, exact=True).tap()
        page.locator("dialog[open]").wait_for()
        assert _outside(page, "dialog[open]") == [], name
        page.locator("dialog[open]").get_by_role("button", name="Close", exact=True).tap()
        page.locator("dialog[open]").wait_for(state="detached")
    page.get_by_role("button", name="Add a node", exact=True).tap()
    page.locator(".palette").wait_for()
    assert _outside(page, ".palette") == []
    box = page.locator(".palette").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    page.touchscreen.tap(20, 700)
    page.locator(".palette").wait_for(state="detached")


def test_a_picture_is_made_looked_at_and_left_by_finger(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).tap()
    page.get_by_role("button", name="Gallery", exact=True).tap()
    page.locator(".thumbnail").first.tap()
    viewer = page.locator(".viewer")
    viewer.wait_for()
    assert _outside(page, ".viewer") == []
    for name in ("Close", "Download", "Use as input"):
        assert _hit(page, viewer.locator(f"[aria-label='{name}']")), name
    for _ in range(2):  # with what is known of how it was made, and without
        picture = viewer.locator(".viewer-stage").bounding_box()
        assert picture["width"] > 300 and picture["height"] > 250
        viewer.get_by_role("button", name="Generation details").tap()
    viewer.get_by_role("button", name="Close", exact=True).tap()
    viewer.wait_for(state="detached")


def test_a_mask_is_painted_by_finger(page: Any, tmp_path: Path) -> None:
    loader = {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [270, 320], "widgets_values": ["", "image"]}
    outputs = [{"name": name, "type": name, "links": None} for name in ("IMAGE", "MASK")]
    doc = {"version": 0.4, "nodes": [{**loader, "mode": 0, "inputs": [], "outputs": outputs}], "links": []}
    open_document(page, tmp_path / "loader.json", doc)
    page.locator(".loaded-picture input[type=file]").set_input_files(str(PICTURE))
    page.locator(".loaded-picture img").wait_for()
    page.get_by_role("button", name="Paint a mask").tap()
    painter = page.locator("dialog[open]")
    painter.get_by_role("button", name="Use this mask").wait_for()
    assert _outside(page, "dialog[open]") == []
    assert painter.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
    assert _hit(page, painter.get_by_role("button", name="Use this mask"))
    painter.get_by_role("button", name="Cancel").tap()
    painter.wait_for(state="detached")


def test_messages_lie_on_the_screen(page: Any, tmp_path: Path) -> None:
    broken = tmp_path / f"{'a long name ' * 6}.json"
    broken.write_text("{")
    page.locator("#open-file").set_input_files(str(broken))
    notice = page.locator(".notice")
    notice.wait_for()
    box = notice.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    notice.get_by_role("button", name="Close").tap()
    becomes(page, notice.count, 0)


def test_menus_and_the_way_out_of_a_subgraph_lie_on_the_screen(page: Any, tmp_path: Path) -> None:
    files = Path(__file__).parents[1] / "graph" / "formats" / "files"
    doc = json.loads((files / "late_2025_subgraphs.json").read_text())
    for definition in doc["definitions"]["subgraphs"]:
        definition["name"] = "A subgraph with a name that is long"
    for entry in doc["nodes"]:
        entry.pop("title", None)
    holder = next(entry for entry in doc["nodes"] if entry["type"] == doc["definitions"]["subgraphs"][0]["id"])
    doc["nodes"], doc["links"] = [holder | {"pos": [0, 0]}], []
    open_document(page, tmp_path / "inside.json", doc)
    while node(page, holder["id"]).count() == 0:
        page.get_by_role("button", name="Zoom in").tap()
        steady(page)
    header(page, holder["id"]).click(button="right")
    menu = page.locator(".menu")
    menu.wait_for()
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    menu.get_by_role("menuitem", name="Open the subgraph").tap()
    crumbs = page.locator(".crumbs")
    crumbs.wait_for()
    box = crumbs.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    crumbs.get_by_role("button", name="Workflow").tap()
    crumbs.wait_for(state="detached")
