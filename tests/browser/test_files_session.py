"""Work in the editor is not lost by a reload, a crash, a second window or a full disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.canvas_page import document
from tests.browser.visit import profile, visit
from tests.browser.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def context(browser: Any, nothing_saved: None) -> Iterator[Any]:
    """A browser's profile, with the pages it has open."""
    with profile(browser) as opened:
        yield opened


def _prompt(page: Any) -> Any:
    return page.get_by_role("textbox", name="text").first


def _kept(page: Any, text: str) -> None:
    """Wait until the browser has ``text`` in its database."""
    look = """text => new Promise((resolve) => {
        const opening = indexedDB.open("sumi");
        opening.onsuccess = () => {
            const reading = opening.result.transaction("tabs").objectStore("tabs").getAll();
            reading.onsuccess = () => {
                opening.result.close();
                resolve(JSON.stringify(reading.result, (_, x) => typeof x == "bigint" ? `${x}` : x).includes(text));
            };
        };
    })"""
    until(page, lambda: page.evaluate(look, text))  # wait_for_function takes the promise itself for an answer


def test_a_reload_at_once(context: Any, server: Any) -> None:
    page = visit(context, server.url)
    page.get_by_role("button", name="New workflow").click()
    page.get_by_role("tab", name="text_to_image").click()
    _prompt(page).fill("typed a moment ago")
    page.reload()
    page.wait_for_selector(".node")
    assert _prompt(page).input_value() == "typed a moment ago"
    assert page.get_by_role("tab").all_inner_texts() == ["text_to_image", "untitled"]
    assert page.locator(".tab .changed").count() == 1


def test_a_crash(context: Any, server: Any) -> None:
    page = visit(context, server.url)
    _prompt(page).fill("before the crash")
    _kept(page, "before the crash")
    with page.expect_event("crash"), contextlib.suppress(Exception):  # the way there never arrives
        page.goto("chrome://crash")
    again = visit(context, server.url)
    assert _prompt(again).input_value() == "before the crash"


def test_two_windows_keep_their_own(context: Any, server: Any) -> None:
    first = visit(context, server.url)
    _prompt(first).fill("the first window")
    _kept(first, "the first window")
    second = visit(context, server.url)
    assert _prompt(second).input_value() == "a red apple", "what is open elsewhere stays there"
    _prompt(second).fill("the second window")
    _kept(second, "the second window")
    _prompt(first).fill("the first window, on")
    _kept(first, "the first window, on")
    for page, text in ((first, "the first window, on"), (second, "the second window")):
        page.reload()
        page.wait_for_selector(".node")
        assert _prompt(page).input_value() == text


def test_a_duplicated_window_does_not_write_over_the_other(context: Any, server: Any) -> None:
    first = visit(context, server.url)
    _prompt(first).fill("original")
    _kept(first, "original")
    with context.expect_page() as opening:
        first.evaluate("window.open(location.href)")  # its session storage is copied, as a duplicate's is
    second = opening.value
    second.wait_for_selector(".node")
    assert _prompt(second).input_value() == "original"
    _prompt(second).fill("copy")
    _kept(second, "copy")
    first.reload()
    first.wait_for_selector(".node")
    assert _prompt(first).input_value() == "original"
    second.reload()
    second.wait_for_selector(".node")
    assert _prompt(second).input_value() == "copy"


def test_what_closed_windows_left_is_offered(context: Any, server: Any) -> None:
    for text in ("left by one", "left by two"):
        page = visit(context, server.url)
        page.get_by_role("tab", name="text_to_image").wait_for()
        if text.endswith("two"):  # beside the first, which is open still
            _prompt(page).fill(text)
            _kept(page, text)
            for other in context.pages:
                other.close()
        else:
            _prompt(page).fill(text)
            _kept(page, text)
    page = visit(context, server.url)
    assert _prompt(page).input_value() == "left by two", "the window closed last comes back"
    page.keyboard.press("Escape")
    page.locator("body").press("w")
    page.get_by_role("heading", name="Unsaved workflows from closed windows").wait_for()
    page.locator(".library-row", has_text="text_to_image").first.locator(".library-open").click()
    page.get_by_role("tab").nth(1).wait_for()
    assert _prompt(page).input_value() == "left by one"


def test_a_full_disk_is_said_and_leaving_asks(context: Any, server: Any) -> None:
    page = visit(context, server.url)
    _prompt(page).fill("kept")
    _kept(page, "kept")
    page.evaluate(
        """() => {
            window.put = IDBObjectStore.prototype.put;
            IDBObjectStore.prototype.put = () => { throw new DOMException("the disk is full", "QuotaExceededError"); };
        }"""
    )
    _prompt(page).fill("x" * 20_000)
    page.locator(".notice[data-kind=error]", has_text="out of storage").wait_for()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept() if asked[1:] else dialog.dismiss()))
    with page.expect_event("dialog"):
        page.evaluate("setTimeout(() => location.reload())")
    assert asked == ["beforeunload"]
    assert len(_prompt(page).input_value()) == 20_000
    page.evaluate("() => { IDBObjectStore.prototype.put = window.put; }")
    _prompt(page).fill("room again")
    _kept(page, "room again")
    page.reload()
    page.wait_for_selector(".node")
    assert _prompt(page).input_value() == "room again"


def test_large_numbers_and_all_tabs_survive(context: Any, server: Any, tmp_path: Any) -> None:
    page = visit(context, server.url)
    node = {"id": 1, "type": "Nobody", "pos": [0, 0], "size": [200, 80], "widgets_values": [2**64 - 1, {"a": None}]}
    written = {"nodes": [node], "links": [], "version": 0.4}
    path = tmp_path / "large.json"
    path.write_text(json.dumps(written))
    page.locator("#open-file").set_input_files(str(path))
    page.get_by_role("tab", name="large").wait_for()
    _kept(page, str(2**64 - 1))
    page.reload()
    page.wait_for_selector(".node")
    assert document(page) == written
