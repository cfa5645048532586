"""Arranging and changing nodes and groups with the mouse; each change is one step of undo and redo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import (
    document,
    drag,
    drag_by,
    ends,
    header,
    middle,
    node,
    nodes,
    on_screen,
    open_document,
    scale,
    socket,
)
from tests.browser.visit import visit
from tests.browser.waiting import becomes, steady, until

pytestmark = pytest.mark.slow


def _is_one_step(page: Any, before: Any) -> Any:
    """Check that the change is undone by one step and redone by one. Returns the document."""
    after = document(page)
    assert after != before
    page.keyboard.press("Control+z")
    assert document(page) == before
    page.keyboard.press("Control+Shift+z")
    assert document(page) == after
    return after


def _rows(page: Any, number: int) -> float:
    return node(page, number).locator("textarea").bounding_box()["height"]


def test_a_node_is_resized_and_its_text_grows(page: Any) -> None:
    before = document(page)
    header(page, 2).click()
    tall = _rows(page, 2)
    drag_by(page, node(page, 2).locator(".node-resize"), 60, 50)
    until(page, lambda: _rows(page, 2) > tall + 40)
    after = _is_one_step(page, before)
    zoom = scale(page)
    width, height = after["nodes"][1]["size"]
    assert width == pytest.approx(320 + 60 / zoom, abs=3) and height == pytest.approx(130 + 50 / zoom, abs=3)
    drag_by(page, node(page, 2).locator(".node-resize"), -900, -900)
    width, height = document(page)["nodes"][1]["size"]
    assert 150 <= width <= 200 and 80 <= height <= 120, "no smaller than what it shows"
    assert node(page, 2).locator("textarea").bounding_box()["height"] > 40


def test_nodes_and_groups_that_are_selected_move_together(page: Any) -> None:
    before = document(page)
    title = on_screen(page, 1, 60, 155)
    page.mouse.click(*title)  # the group Read
    page.keyboard.down("Shift")
    page.mouse.click(*on_screen(page, 7, 1080, 75))  # the group Sample
    header(page, 6).click()
    page.keyboard.up("Shift")
    drag_by(page, header(page, 6), 40, 80)
    after = _is_one_step(page, before)
    moved = {
        entry["id"]: (entry["pos"][0] - old["pos"][0], entry["pos"][1] - old["pos"][1])
        for entry, old in zip(after["nodes"], before["nodes"], strict=True)
        if entry["pos"] != old["pos"]
    }
    assert set(moved) == {1, 6, 7} and len(set(moved.values())) == 1
    (way,) = set(moved.values())
    for old, new in zip(before["groups"], after["groups"], strict=True):
        by = (new["bounding"][0] - old["bounding"][0], new["bounding"][1] - old["bounding"][1])
        assert by == (way if old["title"] in ("Read", "Sample") else (0, 0))
        assert new["bounding"][2:] == old["bounding"][2:]


def test_a_group_is_renamed_coloured_and_resized(page: Any) -> None:
    before = document(page)
    x, y = on_screen(page, 1, 200, 155)
    page.mouse.dblclick(x, y)
    page.locator(".group-title-field").fill("Source")
    page.keyboard.press("Enter")
    named = _is_one_step(page, before)
    assert named["groups"][0]["title"] == "Source"
    page.mouse.click(x, y, button="right")
    page.get_by_role("menuitem", name="Colour #6b4578").click()
    assert _is_one_step(page, named)["groups"][0]["color"] == "#6b4578"
    coloured = document(page)
    left, top, width, height = coloured["groups"][0]["bounding"]
    corner = on_screen(page, 1, left + width - 6, top + height - 6)
    drag(page, corner, (corner[0], corner[1] + 90))
    resized = _is_one_step(page, coloured)
    assert resized["groups"][0]["bounding"][:3] == [left, top, width]
    assert resized["groups"][0]["bounding"][3] == pytest.approx(height + 90 / scale(page), abs=3)
    page.mouse.click(x, y, button="right")
    page.get_by_role("menuitem", name="Fit to contents").click()
    assert _is_one_step(page, resized)["groups"][0]["bounding"][3] < height
    page.mouse.click(x, y, button="right")
    page.get_by_role("menuitem", name="Select contents").click()
    becomes(page, node(page, 1).locator(".node[data-selected]").count, 1)


def test_a_group_is_made_of_a_box_and_deleted(page: Any) -> None:
    before = document(page)
    page.keyboard.down("Shift")
    drag(page, on_screen(page, 6, 375, 590), on_screen(page, 6, 730, 425))
    page.keyboard.up("Shift")
    becomes(page, page.locator(".node[data-selected]").count, 1)  # the box touches Size alone
    page.keyboard.press("Control+g")
    made = _is_one_step(page, before)
    left, top, width, height = made["groups"][4]["bounding"]
    assert left < 390 and top < 430 and left + width > 710 and top + height > 460
    page.mouse.click(*on_screen(page, 6, left + 60, top + 12))
    page.keyboard.press("Delete")
    assert document(page) == before, "what was in it stays"


def test_moves_keep_to_the_grid_where_that_is_chosen(page: Any, server: Any) -> None:
    drag_by(page, header(page, 6), 33, 37)
    x, y = nodes(page)[6]["pos"]
    assert x % 10 or y % 10
    page.get_by_role("button", name="Snap to grid").click()
    drag_by(page, header(page, 6), 31, -13)
    x, y = nodes(page)[6]["pos"]
    assert x % 10 == 0 and y % 10 == 0
    until(page, lambda: server.get("/settings").get("Sumi.snap"))
    page.reload()
    page.locator("[aria-label='Snap to grid'][aria-pressed=true]").wait_for()


def test_align_to_grid(page: Any) -> None:
    drag_by(page, header(page, 6), 33, 37)
    before = document(page)
    page.mouse.click(74, 58, button="right")
    page.get_by_role("menuitem", name="Align to grid").click()
    after = _is_one_step(page, before)
    assert all(value % 10 == 0 for entry in after["nodes"] for value in entry["pos"])


def test_escape_takes_a_drag_back(page: Any) -> None:
    before = document(page)
    x, y = middle(header(page, 6))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y + 50, steps=4)
    page.keyboard.press("Escape")
    page.mouse.move(x + 150, y + 50, steps=2)
    page.mouse.up()
    assert document(page) == before
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_copies_go_between_tabs_with_their_links_and_groups(page: Any, server: Any) -> None:
    page.keyboard.press("Control+a")
    page.keyboard.down("Shift")
    page.mouse.click(*on_screen(page, 1, 60, 155))
    page.keyboard.up("Shift")
    page.keyboard.press("Control+c")
    original = document(page)
    page.get_by_role("button", name="New workflow").click()
    page.wait_for_selector(".node", state="detached")
    page.keyboard.press("Control+v")
    page.wait_for_selector(".node")
    _is_a_copy(document(page), original)
    # And in another window, at the pointer.
    other = visit(page.context, server.url)
    other.keyboard.press("Control+v")
    other.locator(".canvas[aria-label*='18 nodes']").wait_for()
    pasted = document(other)
    assert len({entry["id"] for entry in pasted["nodes"]}) == 18
    assert len(ends(pasted)) == 26
    other.close()


def _is_a_copy(copy: Any, original: Any) -> None:
    assert ends(copy) == ends(original)
    shifts = {
        (new["pos"][0] - old["pos"][0], new["pos"][1] - old["pos"][1])
        for new, old in zip(copy["nodes"], original["nodes"], strict=True)
    }
    assert len(shifts) == 1
    (way,) = shifts
    (group,) = copy["groups"]
    assert group["title"] == "Read"
    old = original["groups"][0]["bounding"]
    assert group["bounding"] == [old[0] + way[0], old[1] + way[1], *old[2:]]
    values = [[entry.get("widgets_values") for entry in doc["nodes"]] for doc in (copy, original)]
    assert values[0] == values[1]


def _rename(page: Any) -> None:
    header(page, 7).dblclick()
    page.locator(".node-title-field").fill("Denoise")
    page.keyboard.press("Enter")


def _colour(page: Any) -> None:
    header(page, 7).click(button="right")
    page.get_by_role("menuitem", name="Colour #33637a").click()


def _collapse_by_button(page: Any) -> None:
    node(page, 7).get_by_role("button", name="Collapse").click()


def _note(page: Any) -> None:
    page.mouse.click(220, 780, button="right")
    page.get_by_role("menuitem", name="Add a note").click()


def _pressed(keys: str) -> Callable[[Any], None]:
    def press(page: Any) -> None:
        header(page, 7).click()
        page.keyboard.press(keys)

    return press


CHANGES: dict[str, tuple[Callable[[Any], None], Callable[[Any], bool]]] = {
    "mute": (_pressed("Control+m"), lambda doc: doc["nodes"][6]["mode"] == 2),
    "bypass": (_pressed("Control+b"), lambda doc: doc["nodes"][6]["mode"] == 4),
    "collapse": (_pressed("Alt+c"), lambda doc: doc["nodes"][6]["flags"]["collapsed"]),
    "collapse by its button": (_collapse_by_button, lambda doc: doc["nodes"][6]["flags"]["collapsed"]),
    "duplicate": (_pressed("Control+d"), lambda doc: len(doc["nodes"]) == 10),
    "delete": (_pressed("Delete"), lambda doc: len(doc["nodes"]) == 8),
    "cut": (_pressed("Control+x"), lambda doc: len(doc["nodes"]) == 8),
    "rename": (_rename, lambda doc: doc["nodes"][6]["title"] == "Denoise"),
    "colour": (_colour, lambda doc: doc["nodes"][6]["color"] == "#33637a"),
    "note": (_note, lambda doc: doc["nodes"][9]["type"] == "Note"),
    "nudge": (_pressed("ArrowDown"), lambda doc: doc["nodes"][6]["pos"] == [1060, 150]),
    "resize": (_pressed("Alt+ArrowRight"), lambda doc: doc["nodes"][6]["size"][0] == 310),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_one_step(page: Any, name: str) -> None:
    change, holds = CHANGES[name]
    before = document(page)
    change(page)
    assert holds(_is_one_step(page, before))


def test_notes_are_text(page: Any, tmp_path: Path) -> None:
    trap = "<b>bold</b>\n# title"
    notes = [
        {"id": 1, "type": "Note", "pos": [0, 0], "size": [260, 140], "widgets_values": [trap]},
        {
            "id": 2,
            "type": "MarkdownNote",
            "pos": [400, 0],
            "size": [260, 140],
            "widgets_values": {"text": trap, "x": 1},
        },
    ]
    notes[1]["widgets_values"] = {"text": trap, "x": 1}
    open_document(page, tmp_path / "notes.json", {"nodes": notes, "links": [], "version": 0.4})
    assert node(page, 1).locator("textarea").input_value() == trap
    shown = node(page, 2).locator(".markdown")
    shown.locator("h2").wait_for()
    assert shown.locator("b").count() == 0 and "<b>bold</b>" in shown.inner_text()
    shown.dblclick()
    assert node(page, 2).locator("textarea").input_value() == trap
    node(page, 2).locator("textarea").fill("other")
    assert nodes(page)[2]["widgets_values"] == {"text": "other", "x": 1}
    page.keyboard.press("Escape")
    before = document(page)
    drag_by(page, header(page, 2), 60, 60)
    _is_one_step(page, before)


def test_a_messy_graph_is_laid_out_and_loses_nothing(page: Any, tmp_path: Path) -> None:
    doc = json.loads((Path(__file__).parents[2] / "workflows/text_to_image.json").read_text())
    for index, entry in enumerate(doc["nodes"]):
        entry["pos"] = [(index * 137) % 400, (index * 71) % 300]
    doc["groups"] = [{"title": "One", "bounding": [-40, -80, 1000, 800], "color": "#3f789e", "font_size": 24}]
    open_document(page, tmp_path / "messy.json", doc)
    before = document(page)
    page.get_by_role("button", name="Tidy up").click()
    page.locator(".view-tools button[aria-label^='Undo']:enabled").wait_for()
    after = _is_one_step(page, before)
    assert ends(after) == ends(before)
    strip = ("pos", "size")
    bare = [[{k: v for k, v in entry.items() if k not in strip} for entry in d["nodes"]] for d in (before, after)]
    assert bare[0] == bare[1]
    boxes = [node(page, number).bounding_box() for number in range(1, 10)]
    for one in range(9):
        for other in range(one):
            first, second = boxes[one], boxes[other]
            apart = (
                first["x"] + first["width"] <= second["x"]
                or second["x"] + second["width"] <= first["x"]
                or first["y"] + first["height"] <= second["y"]
                or second["y"] + second["height"] <= first["y"]
            )
            assert apart, (one + 1, other + 1)
    places = {entry["id"]: entry["pos"][0] for entry in after["nodes"]}
    assert all(places[origin] < places[target] for origin, _, target, _ in ends(after)), "data goes to the right"
    left, top, width, height = after["groups"][0]["bounding"]
    for entry in after["nodes"]:
        assert left < entry["pos"][0] < left + width and top < entry["pos"][1] < top + height


def test_the_minimap_leads_there(page: Any) -> None:
    for _ in range(6):
        page.get_by_role("button", name="Zoom in").click()
        steady(page)
    box = page.locator(".minimap").bounding_box()
    page.mouse.click(box["x"] + 14, box["y"] + box["height"] / 2)
    until(page, lambda: header(page, 1).is_visible() and 64 < middle(header(page, 1))[0] < 1440)
    page.mouse.click(box["x"] + box["width"] - 14, box["y"] + box["height"] / 2)
    until(page, lambda: header(page, 9).is_visible() and 64 < middle(header(page, 9))[0] < 1440)
    page.keyboard.press(".")
    steady(page)
    for number in (1, 9):
        x, y = middle(header(page, number))
        assert 64 < x < 1440 and 48 < y < 900


def test_far_out_nodes_and_groups_are_moved_too(page: Any) -> None:
    before = document(page)
    size, title = on_screen(page, 6, 550, 445), on_screen(page, 1, 200, 155)
    near = scale(page)
    page.mouse.move(600, 450)
    page.mouse.wheel(0, 700)
    page.wait_for_selector(".canvas[data-far]")
    steady(page)
    ratio = scale(page) / near
    far = [(600 + (x - 600) * ratio, 450 + (y - 450) * ratio) for x, y in (size, title)]
    drag(page, far[0], (far[0][0] + 30, far[0][1] + 40))
    drag(page, far[1], (far[1][0], far[1][1] + 50))
    after = document(page)
    moved = {e["id"] for e, old in zip(after["nodes"], before["nodes"], strict=True) if e["pos"] != old["pos"]}
    assert moved == {1, 6}
    assert after["nodes"][5]["pos"][0] - 390 == pytest.approx(30 / scale(page), abs=2)
    assert after["groups"][0]["bounding"][1] > before["groups"][0]["bounding"][1]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert document(page) == before


def test_nodes_are_drawn_over_others_by_their_links_when_selected(page: Any) -> None:
    header(page, 1).click()
    becomes(page, page.locator(".link-overlay path").count, 6)
    page.mouse.click(200, 760)
    page.wait_for_selector(".link-overlay path", state="detached")
    assert socket(page, 1, "MODEL", "output").count() == 1
