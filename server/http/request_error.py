"""The error for a bad request, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from graph.errors import SumiError
from server.store.jobs import compact_json


class RequestError(SumiError):
    """A bad request. ``status``: HTTP status; ``kind``: error type for programs; ``details``: what is right;
    ``retry_after``: seconds; ``extra``: further facts for programs."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        details: str = "",
        retry_after: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ):
        self.status, self.kind, self.message, self.details = status, kind, message, details
        self.retry_after = retry_after
        self.extra = dict(extra or {})
        super().__init__(f"{message}: {details}" if details else message)


def error_body(error: RequestError) -> dict[str, Any]:
    """Return the form that all errors use: ``{"error": {"type", "message", "details", "extra_info"}}``."""
    return {
        "error": {
            "type": error.kind,
            "message": error.message,
            "details": error.details,
            "extra_info": error.extra,
        }
    }


def error_response(error: RequestError) -> web.Response:
    """Return the response of an error, with its status and headers."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(error_body(error), status=error.status, headers=headers, dumps=compact_json)
