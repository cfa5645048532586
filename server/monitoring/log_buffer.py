"""Keeps the latest lines of the log for clients that show them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from server.http.hub import Hub
from server.monitoring.logs import TextLines

_LINES: Final = 300
_COLUMNS: Final = 200
_LONGEST_LINE: Final = 10_000
_SUBSCRIBERS: Final = 1_000
_INTERVAL: Final = 0.2
"""Seconds between two messages to subscribers."""


class LogBuffer(logging.Handler):
    """Keeps the latest lines and sends new ones to the clients that asked for them.

    Records come from any thread. The event loop sends them to clients, several lines at a time.
    """

    def __init__(self, hub: Hub):
        super().__init__()
        self.setFormatter(TextLines())
        self._hub = hub
        self._lines: deque[dict[str, str]] = deque(maxlen=_LINES)
        self._new: deque[dict[str, str]] = deque(maxlen=_LINES)
        self._due = False
        self._guard = threading.Lock()
        self._subscribers: dict[str, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Start to collect log records, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Stop collecting log records."""
        logging.getLogger().removeHandler(self)
        self._loop = None

    def lines(self) -> list[dict[str, str]]:
        """Return ``{"t": ISO time, "m": line with its line end}`` for each line, oldest first."""
        with self._guard:
            return list(self._lines)

    def raw(self) -> Mapping[str, Any]:
        """Return the data for ``GET /internal/logs/raw``."""
        return self._message(self.lines())

    def subscribe(self, client_id: str, wanted: bool) -> None:
        """Start or stop sending new lines to that client."""
        self._subscribers.pop(client_id, None)
        if wanted:
            self._subscribers[client_id] = None
            while len(self._subscribers) > _SUBSCRIBERS:
                del self._subscribers[next(iter(self._subscribers))]

    def emit(self, record: logging.LogRecord) -> None:
        """Add one record. May be called from any thread."""
        try:
            text = self.format(record)[:_LONGEST_LINE] + "\n"
        except Exception:
            self.handleError(record)
            return
        line = {"t": datetime.fromtimestamp(record.created, UTC).isoformat(), "m": text}
        with self._guard:
            self._lines.append(line)
            if not self._subscribers or self._loop is None:
                return
            self._new.append(line)
            if self._due:
                return
            self._due = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, so no client is connected
            self._loop.call_soon_threadsafe(self._loop.call_later, _INTERVAL, self._send)

    def _send(self) -> None:
        with self._guard:
            lines, self._due = list(self._new), False
            self._new.clear()
        message = self._message(lines)
        for client_id in list(self._subscribers):
            self._hub.send(client_id, "logs", message)

    def _message(self, lines: list[dict[str, str]]) -> Mapping[str, Any]:
        return {"entries": lines, "size": {"cols": _COLUMNS, "rows": _LINES}}
