"""Pages of the editor, in browsers that remember nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def profile(browser: Any, **options: Any) -> Iterator[Any]:
    """A browser's profile in which nothing is kept from before. Any error of a script in its pages fails the test."""
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
    """A new page on the editor at ``url``, where ``shown`` is to be seen by now."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(shown)
    return page
