"""Reroute points of links (not reroute nodes): drawing, dragging, adding and removing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document, drag, drag_by, header, middle, on_screen, open_document, scale
from tests.browser.waiting import steady

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VAE = 12  # the link from the checkpoint to the node that decodes
AT = [700, 640]
# Where the origin of the canvas is on the screen.
CORNER = """() => {
  const { e, f } = new DOMMatrix(getComputedStyle(document.querySelector(".react-flow__viewport")).transform);
  const { left, top } = document.querySelector(".canvas").getBoundingClientRect();
  return [e + left, f + top];
}"""


def _bent() -> Any:
    doc = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    assert next(link for link in doc["links"] if link[5] == "VAE")[0] == VAE
    doc["extra"] = {
        **doc.get("extra", {}),
        "reroutes": [{"id": 1, "pos": AT, "linkIds": [VAE]}],
        "linkExtensions": [{"id": VAE, "parentId": 1}],
    }
    return doc


@pytest.fixture
def bent(page: Any, tmp_path: Path) -> Any:
    open_document(page, tmp_path / "bent.json", _bent())
    return page


def _points(page: Any) -> list[list[float]]:
    return [entry["pos"] for entry in document(page)["extra"].get("reroutes", [])]


def test_a_link_goes_through_its_point_which_is_dragged(bent: Any) -> None:
    page = bent
    point = page.get_by_role("button", name="Reroute, VAE")
    x, y = on_screen(page, 1, *AT)
    assert middle(point) == (pytest.approx(x, abs=1.5), pytest.approx(y, abs=1.5))
    header(page, 8).click()  # its links are shown over the nodes
    page.mouse.click(*[value - 60 for value in middle(point)])
    before = document(page)
    drag_by(page, point, 40, -30)
    moved = document(page)
    assert moved["extra"]["reroutes"] != before["extra"]["reroutes"]
    zoom = scale(page)
    assert _points(page)[0] == [pytest.approx(AT[0] + 40 / zoom, abs=1.5), pytest.approx(AT[1] - 30 / zoom, abs=1.5)]
    moved["extra"]["reroutes"] = before["extra"]["reroutes"]
    assert moved == before, "nothing else is changed"
    page.keyboard.press("Control+z")
    assert _points(page) == [AT]


def test_it_is_hit_where_it_is_drawn(bent: Any) -> None:
    page = bent
    x, y = middle(page.get_by_role("button", name="Reroute, VAE"))
    page.mouse.move(x + 40, y + 80)
    page.mouse.move(x + 14, y + 2)
    page.locator(".link-overlay path.marked").wait_for()
    legs = page.locator(".link-overlay path.marked").get_attribute("d")
    assert legs.count("M") == 2 and f"{AT[0]},{AT[1]}" in legs


def test_keys_move_it_and_take_it_away(bent: Any) -> None:
    page = bent
    point = page.get_by_role("button", name="Reroute, VAE")
    point.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert _points(page) == [[AT[0] + 10, AT[1] + 100]]
    point.focus()
    page.keyboard.press("Delete")
    point.wait_for(state="detached")
    gone = document(page)
    assert "reroutes" not in gone["extra"] and "linkExtensions" not in gone["extra"]
    assert any(link[0] == VAE for link in gone["links"]), "the link stays"
    page.keyboard.press("Control+z")
    point.wait_for()


def test_a_link_is_bent_where_one_points(page: Any) -> None:
    before = document(page)
    left = page.locator(".react-flow__node[data-id='7'] .socket[title^='LATENT '][data-side='output']")
    right = page.locator(".react-flow__node[data-id='8'] .socket[title^='samples ']")
    (x, y), (to_x, to_y) = middle(left), middle(right)
    page.mouse.click((x + to_x) / 2, (y + to_y) / 2, button="right")
    page.get_by_role("menuitem", name="Bend the link here").click()
    point = page.get_by_role("button", name="Reroute, LATENT")
    point.wait_for()
    made = document(page)
    [reroute], [extension] = made["extra"]["reroutes"], made["extra"]["linkExtensions"]
    assert reroute["linkIds"] == [extension["id"]] and extension["parentId"] == reroute["id"]
    assert made["links"] == before["links"] and made["nodes"] == before["nodes"]
    page.keyboard.press("Escape")
    point.click(button="right")
    page.get_by_role("menuitem", name="Remove the bend").click()
    point.wait_for(state="detached")
    assert document(page) == before


def test_where_nodes_are_painted_it_is_dragged_too(bent: Any) -> None:
    page = bent
    for _ in range(3):
        page.keyboard.press("-")
    page.locator(".canvas[data-far]").wait_for()
    steady(page)
    zoom = scale(page)
    shift = page.evaluate(CORNER)
    x, y = AT[0] * zoom + shift[0], AT[1] * zoom + shift[1]
    drag(page, (x, y), (x + 30, y + 20))
    assert _points(page)[0] == [pytest.approx(AT[0] + 30 / zoom, abs=2), pytest.approx(AT[1] + 20 / zoom, abs=2)]


def test_it_goes_with_its_link_and_with_the_nodes_at_both_ends(bent: Any) -> None:
    page = bent
    page.keyboard.press("Control+a")
    page.keyboard.press("Shift+ArrowRight")
    assert _points(page) == [[AT[0] + 100, AT[1]]]
    page.keyboard.press("Control+z")
    page.keyboard.press("Escape")
    page.locator(".react-flow__node[data-id='8'] .socket[title^='vae ']").focus()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Reroute, VAE").wait_for(state="detached")
    gone = document(page)
    assert "reroutes" not in gone["extra"] and "linkExtensions" not in gone["extra"]
    page.keyboard.press("Control+z")
    assert document(page)["extra"]["linkExtensions"] == [{"id": VAE, "parentId": 1}]
