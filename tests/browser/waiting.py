"""Waiting for what a page or its server does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0
"""Seconds: what takes longer on a machine that has much to do does not happen at all."""


def becomes(page: Any, look: Callable[[], Any], expected: Any, seconds: float = PATIENCE) -> None:
    """Wait until ``look()`` gives ``expected``. What the test answers in the server's place is answered meanwhile."""
    late = time.monotonic() + seconds
    while (found := look()) != expected and time.monotonic() < late:
        page.wait_for_timeout(50)
    assert found == expected


def until(page: Any, true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until ``true()`` is."""
    becomes(page, lambda: bool(true()), True, seconds)


def steady(page: Any) -> None:
    """Wait until the view stands still: keys and buttons lead it somewhere in a fifth of a second."""
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
    """The history's newest entry, once nothing runs or waits: a picture is there before its run has ended."""
    becomes(page, lambda: server.get("/prompt")["exec_info"]["queue_remaining"], 0)
    (entry,) = server.get("/history?max_items=1").values()
    return entry
