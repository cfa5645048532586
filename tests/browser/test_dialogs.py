"""Dialogs: which control has the focus when they open, so that Enter pressed without reading loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.canvas_page import header
from tests.browser.waiting import becomes, until

pytestmark = pytest.mark.slow


def _focused(page: Any) -> str:
    return page.evaluate("document.activeElement.textContent || document.activeElement.getAttribute('aria-label')")


def _position(server: Any) -> list[float]:
    saved = server.get("/userdata/workflows%2Fkept.json")
    return next(node["pos"] for node in saved["nodes"] if node["id"] == 6)


def _save_as(page: Any, name: str) -> None:
    page.keyboard.press("Control+s")
    page.get_by_label("Name of the workflow").fill(name)
    page.keyboard.press("Enter")
    page.get_by_role("tab", name=name, exact=True).wait_for()


def test_enter_on_closing_a_changed_tab_saves_it(page: Any, server: Any) -> None:
    _save_as(page, "kept")
    before = _position(server)
    header(page, 6).click()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Close kept").click()
    page.get_by_role("dialog").wait_for()
    assert _focused(page) == "Save"
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="kept", exact=True).wait_for(state="detached")
    assert _position(server) == [before[0] + 10, before[1]]


def test_enter_in_a_dialog_that_only_destroys_cancels_it(page: Any, server: Any) -> None:
    _save_as(page, "precious")
    page.keyboard.press("w")
    page.locator(".library-row", has_text="precious").hover()
    page.get_by_role("button", name="Delete precious").click()
    page.get_by_role("dialog").wait_for()
    assert _focused(page) == "Cancel"
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    assert server.get("/userdata/workflows%2Fprecious.json")["nodes"]
    page.locator(".library-row", has_text="precious").hover()
    page.get_by_role("button", name="Delete precious").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    becomes(page, lambda: page.get_by_role("button", name="Delete precious").count(), 0)


def test_a_name_that_is_asked_for_is_typed_at_once(page: Any) -> None:
    page.keyboard.press("Control+s")
    until(page, lambda: page.evaluate("document.activeElement.tagName") == "INPUT")
