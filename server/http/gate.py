"""How much may go on at once; what comes on top is sent away, with the time after which to come again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from server.config import Limits
from server.http.endpoint import Kind
from server.http.request_error import RequestError

_RETRY_AFTER: Final = 1


class Gate:
    """Counts requests, long polls and WebSockets apart, and the bytes of all bodies that are being read."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.inside: Counter[str] = Counter()
        self.body_bytes = 0
        self._most: dict[Kind, tuple[int, int]] = {
            "request": (limits.requests, 503),
            "long poll": (limits.long_polls, 429),
            "websocket": (limits.websockets, 503),
        }

    @contextmanager
    def admit(self, kind: Kind) -> Iterator[None]:
        """Hold a place for one request. Raises RequestError (429, 503) when there is none."""
        if kind in self._most:
            most, status = self._most[kind]
            if self.inside[kind] >= most:
                message = f"{most} {kind}s are being served already"
                raise RequestError(status, "too_many_requests", message, "try again later", _RETRY_AFTER)
        self.inside[kind] += 1
        try:
            yield
        finally:
            self.inside[kind] -= 1

    def take(self, size: int) -> None:
        """Account for ``size`` bytes of a body in memory. Raises RequestError (503) when there are too many."""
        if self.body_bytes + size > self.limits.body_bytes:
            message = "too many large requests are being read at once"
            raise RequestError(503, "too_many_requests", message, "try again later", _RETRY_AFTER)
        self.body_bytes += size

    def give_back(self, size: int) -> None:
        """The bytes are gone."""
        self.body_bytes -= size
