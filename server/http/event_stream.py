"""Server-Sent Events, as the HTML standard describes them (section 9.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from server.store.jobs import compact_json

EVENT_STREAM: Final = "text/event-stream"
IDLE_SECONDS: Final = 15.0
"""Seconds without an event after which something should be sent, so that proxies keep the connection."""


class ClientGoneError(Exception):
    """The client has disconnected."""


class EventStream:
    """A response to which events are written. Made by :meth:`open`."""

    def __init__(self, response: web.StreamResponse):
        self.response = response

    @classmethod
    async def open(cls, request: web.Request, headers: Mapping[str, str] | None = None) -> EventStream:
        """Send the headers of a response with status 200."""
        response = web.StreamResponse(headers={**(headers or {}), hdrs.CACHE_CONTROL: "no-cache"})
        response.content_type = EVENT_STREAM
        response.charset = "utf-8"
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
        await response.prepare(request)
        return cls(response)

    async def send(self, data: Mapping[str, Any], event: str | None = None) -> None:
        """Send JSON, with the event's name. Raises ClientGoneError."""
        head = f"event: {event}\n" if event is not None else ""
        await self._write(f"{head}data: {compact_json(data)}\n\n")

    async def keep_alive(self) -> None:
        """Send a comment, which clients ignore. Raises ClientGoneError."""
        await self._write(":\n\n")

    async def close(self) -> web.StreamResponse:
        """End the response. Returns it, for the handler to return."""
        try:
            await self.response.write_eof()
        except (ConnectionError, RuntimeError) as error:
            raise ClientGoneError from error
        return self.response

    async def _write(self, text: str) -> None:
        try:
            await self.response.write(text.encode())
        except (ConnectionError, RuntimeError) as error:
            raise ClientGoneError from error
