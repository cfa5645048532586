"""Errors in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from server.http.request_error import RequestError
from server.store.jobs import compact_json

_CODES: Final = {"token_required": "invalid_api_key", "queue_full": "rate_limit_exceeded"}


def parameter_error(name: str, message: str, expected: str = "", code: str = "invalid_value") -> RequestError:
    """Return the error (400) for a parameter that cannot be honoured. ``expected`` says what would be right."""
    return RequestError(
        400, code, f"{name}: {message}", f"expected {expected}" if expected else "", extra={"param": name}
    )


def run_error(reason: str) -> RequestError:
    """Return the error (500) for a run that has failed."""
    return RequestError(500, "run_failed", reason)


def error_body(error: RequestError) -> dict[str, Any]:
    """Return the error's body."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    if error.status == 429:
        kind = "rate_limit_error"
    message = f"{error.message}; {error.details}" if error.details else error.message
    return {
        "error": {
            "message": message,
            "type": kind,
            "param": error.extra.get("param"),
            "code": _CODES.get(error.kind, error.kind),
        }
    }


def error_response(error: RequestError) -> web.Response:
    """Return the response of an error. For a failed run, a header tells clients not to retry."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.kind == "run_failed":
        headers["x-should-retry"] = "false"
    status = 400 if error.status == 422 else error.status
    return web.json_response(error_body(error), status=status, headers=headers, dumps=compact_json)
