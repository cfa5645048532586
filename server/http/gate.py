"""Limits how much runs at once; excess requests get 429 or 503 with Retry-After."""

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
    """Counts requests, long polls and WebSockets separately, and the bytes of all bodies that are being read."""

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
        """Count one request while it is handled. Raises RequestError (429, 503) at the limit."""
        if kind in self._most:
            most, status = self._most[kind]
            if self.inside[kind] >= most:
                message = f"{most} {kind}s are already being served"
                raise RequestError(status, "too_many_requests", message, "try again later", _RETRY_AFTER)
        self.inside[kind] += 1
        try:
            yield
        finally:
            self.inside[kind] -= 1

    def reserve(self, size: int) -> None:
        """Count ``size`` bytes of a body in memory. Raises RequestError (503) at the limit."""
        if self.body_bytes + size > self.limits.body_bytes:
            message = "too many large requests are being read at once"
            raise RequestError(503, "too_many_requests", message, "try again later", _RETRY_AFTER)
        self.body_bytes += size

    def release(self, size: int) -> None:
        """Stop counting these bytes, which have been freed."""
        self.body_bytes -= size
