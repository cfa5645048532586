"""The canvas on a tablet, used by touch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.canvas_page import document, ends, header, middle, node, on_screen, scale, socket
from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes, steady

pytestmark = pytest.mark.slow


class Hand:
    """Touches, sent through the browser's protocol."""

    def __init__(self, page: Any):
        self._session = page.context.new_cdp_session(page)
        self._fingers: dict[int, tuple[float, float]] = {}

    def _send(self, kind: str) -> None:
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in self._fingers.items()]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def down(self, x: float, y: float, finger: int = 0) -> None:
        self._fingers[finger] = (x, y)
        self._send("touchStart")

    def move(self, *to: tuple[float, float], steps: int = 6) -> None:
        """Move all fingers at once."""
        starts = dict(self._fingers)
        for step in range(1, steps + 1):
            for (finger, (x, y)), (right, down) in zip(starts.items(), to, strict=True):
                share = step / steps
                self._fingers[finger] = (x + (right - x) * share, y + (down - y) * share)
            self._send("touchMove")

    def up(self) -> None:
        self._fingers.clear()
        self._send("touchEnd")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.down(*start)
        self.move(end)
        self.up()


@pytest.fixture
def page(server: Any, browser: Any, nothing_saved: None) -> Iterator[Any]:
    with profile(browser, viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True) as context:
        yield visit(context, server.url, ".canvas[data-far], .node")


@pytest.fixture
def hand(page: Any) -> Hand:
    return Hand(page)


def _nearer(page: Any) -> None:
    """Zoom in on the middle until nodes are drawn as elements."""
    while page.locator(".node").count() == 0:
        page.get_by_role("button", name="Zoom in").click()
        steady(page)


def test_one_finger_moves_the_view(page: Any, hand: Hand) -> None:
    _nearer(page)
    before, doc = middle(header(page, 6)), document(page)
    hand.drag((500, 690), (560, 620))
    becomes(page, lambda: middle(header(page, 6)), pytest.approx((before[0] + 60, before[1] - 70), abs=2))
    assert document(page) == doc


def test_two_fingers_zoom_about_the_point_between_them(page: Any, hand: Hand) -> None:
    _nearer(page)
    before = scale(page)
    x, y = middle(header(page, 6))
    hand.down(x - 50, y, 0)
    hand.down(x + 50, y, 1)
    hand.move((x - 100, y), (x + 100, y))
    hand.up()
    becomes(page, lambda: scale(page), pytest.approx(2 * before, rel=0.05))
    becomes(page, lambda: middle(header(page, 6)), pytest.approx((x, y), abs=6))
    hand.down(200, 400, 0)
    hand.down(800, 400, 1)
    hand.move((450, 400), (550, 400))
    hand.up()
    page.wait_for_selector(".canvas[data-far]")


def test_a_second_finger_takes_a_drag_back(page: Any, hand: Hand) -> None:
    _nearer(page)
    doc = document(page)
    x, y = middle(header(page, 6))
    hand.down(x, y, 0)
    hand.move((x + 60, y + 20))
    hand.down(x + 200, y, 1)
    hand.up()
    assert document(page) == doc


def test_a_finger_drags_nodes_and_groups_near(page: Any, hand: Hand) -> None:
    _nearer(page)
    doc = document(page)
    zoom = scale(page)
    x, y = middle(header(page, 6))
    hand.drag((x, y), (x + 40, y - 30))
    after = document(page)
    assert after["nodes"][5]["pos"][0] == pytest.approx(doc["nodes"][5]["pos"][0] + 40 / zoom, abs=3)
    title = on_screen(page, 6, 420, 0)  # the group of the texts, above Size
    hand.drag(title, (title[0] + 20, title[1] + 20))
    moved = document(page)
    assert moved["groups"][1]["bounding"][0] == pytest.approx(doc["groups"][1]["bounding"][0] + 20 / zoom, abs=3)
    assert moved["nodes"][1]["pos"] != after["nodes"][1]["pos"]
    assert moved["nodes"][5]["pos"] == after["nodes"][5]["pos"]


def test_a_finger_drags_nodes_and_groups_far_out(page: Any, hand: Hand) -> None:
    _nearer(page)
    doc = document(page)
    size, title = on_screen(page, 6, 550, 445), on_screen(page, 6, 420, 0)
    near = scale(page)
    box = page.locator(".canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    while page.locator(".canvas[data-far]").count() == 0 or scale(page) > 0.3:
        page.get_by_role("button", name="Zoom out").click()
        steady(page)
    ratio = scale(page) / near
    for dx, (left, top) in ((24, size), (0, title)):
        start = (x + (left - x) * ratio, y + (top - y) * ratio)
        hand.drag(start, (start[0] + dx, start[1] + 30))
    after = document(page)
    moved = {e["id"] for e, old in zip(after["nodes"], doc["nodes"], strict=True) if e["pos"] != old["pos"]}
    assert moved == {2, 3, 4, 5, 6}
    assert after["nodes"][5]["pos"][0] == pytest.approx(doc["nodes"][5]["pos"][0] + 24 / scale(page), abs=3)


def test_a_finger_draws_and_takes_off_links(page: Any, hand: Hand) -> None:
    _nearer(page)
    before = ends(document(page))
    hand.drag(middle(socket(page, 5, "clip", "input")), (middle(header(page, 5))[0], 700))
    assert before - ends(document(page)) == {(1, 1, 5, 0)}
    x, y = middle(socket(page, 3, "clip", "input"))
    hand.down(*middle(socket(page, 1, "CLIP", "output")))
    hand.move((x - 20, y + 30))
    page.wait_for_selector(".socket[data-welcome='true']")
    hand.move(middle(socket(page, 5, "clip", "input")))
    hand.up()
    assert ends(document(page)) == before


def test_a_long_press_opens_the_menu(page: Any, hand: Hand) -> None:
    _nearer(page)
    hand.down(*middle(header(page, 6)))
    page.get_by_role("menuitem", name="Duplicate").wait_for()
    hand.up()
    page.get_by_role("menuitem", name="Duplicate").tap()
    node(page, 10).wait_for()
    assert len(document(page)["nodes"]) == 10


def test_a_tap_selects_and_writes(page: Any, hand: Hand) -> None:
    _nearer(page)
    header(page, 6).tap()
    page.wait_for_selector(".react-flow__node[data-id='6'] .node[data-selected]")
    width = node(page, 6).get_by_role("spinbutton", name="width")
    width.tap()
    width.fill("192")
    page.keyboard.press("Enter")
    assert document(page)["nodes"][5]["widgets_values"][0] == 192
