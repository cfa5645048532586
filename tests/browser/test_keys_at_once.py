"""Keys pressed faster than the screen is drawn all reach the right element."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.canvas_page import header

pytestmark = pytest.mark.slow

# All within one task of the page: no frame is drawn between them.
PRESS = """keys => keys.map(([key, held]) => {
  const at = document.activeElement;
  at.dispatchEvent(new KeyboardEvent("keydown", { key, ...held, bubbles: true, cancelable: true }));
  return document.activeElement.ariaLabel;
})"""
AFTER_FRAMES = """async () => {
  for (let frame = 0; frame < 6; frame += 1) await new Promise(requestAnimationFrame);
  return document.activeElement.ariaLabel;
}"""
ALONG = ["]", {}]
ENTER = ["Enter", {}]


def test_into_a_field_right_after_going_to_its_node(page: Any) -> None:
    header(page, 4).click()
    assert page.evaluate(PRESS, [ALONG, ENTER]) == ["Sample", "seed"]
    assert page.evaluate(AFTER_FRAMES) == "seed", "nothing takes the focus from the field again"


def test_to_a_node_that_is_out_of_view(page: Any) -> None:
    header(page, 1).click()
    for _ in range(6):
        page.keyboard.press("+")
    page.locator(".react-flow__node[data-id='8']").wait_for(state="detached")
    steps = page.evaluate(PRESS, [["ArrowRight", {"ctrlKey": True}]] * 5)
    assert len(set(steps)) > 2, "each key goes on from where the one before it went"
    assert page.evaluate(AFTER_FRAMES) == steps[-1]
    assert page.locator(f"article[aria-label='{steps[-1]}'][data-selected]").count() == 1


def test_the_name_of_a_file_is_typed_at_once(page: Any, server: Any) -> None:
    page.keyboard.press("Control+s")
    page.keyboard.type("quick")
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="quick", exact=True).wait_for()
    assert [entry["path"] for entry in server.get("/userdata?dir=workflows&full_info=true")] == ["quick.json"]
