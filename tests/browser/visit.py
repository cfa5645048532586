"""Pages of the editor, in browsers without stored data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def profile(browser: Any, **options: Any) -> Iterator[Any]:
    """A browser profile without stored data. Any script error in its pages fails the test."""
    desk = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US", "accept_downloads": True}
    context = browser.new_context(**desk | options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(60_000)
    errors: list[str] = []
    context.on("weberror", lambda thrown: errors.append(str(thrown.error)))
    try:
        yield context
    finally:
        context.close()
    assert errors == []


def visit(context: Any, url: str, shown: str = ".node") -> Any:
    """Open a new page on the editor at ``url`` and wait until ``shown`` is visible."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(f"{shown}, .app-view")
    if page.locator(".app-view").count() and shown in (".node", ".canvas"):
        page.locator(".view-toggle").click()  # a phone opens the app view first
    page.wait_for_selector(shown)
    if shown == ".node":  # a page that waits too long for the list of nodes draws them without it first
        page.wait_for_selector(".node:not([data-look=unknown])")
    return page
