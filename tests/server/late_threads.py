"""Threads as on a busy machine."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class LateThreads(ThreadPoolExecutor):
    """Starts calls 0.3 s late: the first ``calls``, or all for None."""

    def __init__(self, calls: int | None = None):
        super().__init__(4)
        self._late = itertools.count() if calls is None else iter(range(calls))

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        seconds = 0.0 if next(self._late, None) is None else 0.3
        return super().submit(lambda: (time.sleep(seconds), fn(*args, **kwargs))[1])
