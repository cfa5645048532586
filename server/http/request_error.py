"""A request that cannot be answered as asked, and what the client is told."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from graph.errors import SumiError
from server.store.jobs import compact_json


class RequestError(SumiError):
    """``status`` is the HTTP status, ``kind`` the machine's name of what was wrong, ``details`` what would be right."""

    def __init__(self, status: int, kind: str, message: str, details: str = "", retry_after: int | None = None):
        self.status, self.kind, self.message, self.details = status, kind, message, details
        self.retry_after = retry_after
        super().__init__(f"{message}: {details}" if details else message)


def error_response(error: RequestError) -> web.Response:
    """The one shape of every error: ``{"error": {"type", "message", "details", "extra_info"}}``."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    body: dict[str, Any] = {
        "error": {"type": error.kind, "message": error.message, "details": error.details, "extra_info": {}}
    }
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(body, status=error.status, headers=headers, dumps=compact_json)
