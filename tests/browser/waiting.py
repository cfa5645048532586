"""Waits for a page or its server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0
"""Seconds to wait, enough for a busy machine."""


def becomes(page: Any, look: Callable[[], Any], expected: Any, seconds: float = PATIENCE) -> None:
    """Wait until ``look()`` returns ``expected``, and let the test answer requests meanwhile."""
    late = time.monotonic() + seconds
    while (found := look()) != expected and time.monotonic() < late:
        page.wait_for_timeout(50)
    assert found == expected


def until(page: Any, true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until ``true()`` returns a true value."""
    becomes(page, lambda: bool(true()), True, seconds)


def steady(page: Any) -> None:
    """Wait until the view stops moving: keys and buttons move it for a fifth of a second."""
    page.evaluate(
        """() => new Promise((resolve) => {
            let [before, frames] = ["", 0];
            const look = () => {
                const now = document.querySelector(".react-flow__viewport").style.transform;
                frames = now === before ? frames + 1 : 0;
                before = now;
                if (frames < 10) requestAnimationFrame(look);
                else resolve();
            };
            look();
        })"""
    )


def last_run(page: Any, server: Any) -> Any:
    """Return the newest history entry once nothing runs or waits: pictures appear before their run ends."""
    becomes(page, lambda: server.get("/prompt")["exec_info"]["queue_remaining"], 0)
    (entry,) = server.get("/history?max_items=1").values()
    return entry
