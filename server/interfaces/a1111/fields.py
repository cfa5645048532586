"""Reads the fields of a request. A field that is null or missing has its default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from server.http.request_error import RequestError
from server.store.jobs import compact_json


def field_error(name: str, message: str, expected: str = "") -> RequestError:
    """Return the error (422) for a field that cannot be honoured. ``expected`` says what would be right."""
    details = f"expected {expected}" if expected else ""
    return RequestError(422, "invalid_parameter", f"{name}: {message}", details, extra={"param": name})


def unsupported(name: str, reason: str) -> RequestError:
    """Return the error (422) for something that Sumi does not have."""
    return RequestError(422, "not_supported", f"{name}: {reason}", extra={"param": name})


def error_response(error: RequestError) -> web.Response:
    """Return an error in A1111's form: ``{"error", "detail", "body", "errors"}``."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Basic"
    text = f"{error.message}; {error.details}" if error.details else error.message
    body = {"error": error.kind, "detail": text, "body": "", "errors": text}
    return web.json_response(body, status=error.status, headers=headers, dumps=compact_json)


class Fields:
    """The fields of a JSON object. ``place`` names it in errors."""

    def __init__(self, body: Mapping[str, Any], place: str = ""):
        self._body = body
        self._place = place

    def __contains__(self, name: str) -> bool:
        return self._body.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return the unconverted value; None if it is missing."""
        return self._body.get(name)

    def named(self, name: str) -> str:
        """Return the field's name for messages."""
        return f"{self._place}{name}"

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``; clients also send it as text."""
        value = self._body.get(name)
        if value is None or value == "":
            return default
        number = math.nan
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                number = math.nan
        if not low <= number <= high:
            raise field_error(self.named(name), f"{_shown(value)} is not usable", f"a number from {low:g} to {high:g}")
        return number

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        value = self._body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value  # exact, also beyond 2^53
        number = self.number(name, default, low, high)
        if number != int(number):
            raise field_error(self.named(name), f"{_shown(value)} is not a whole number", f"{low} to {high}")
        return int(number)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean; clients also send 0 and 1."""
        value = self._body.get(name)
        if value is None:
            return default
        if isinstance(value, (bool, int)) and value in (0, 1):
            return bool(value)
        raise field_error(self.named(name), f"{_shown(value)} is not usable", "true or false")

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self._body.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise field_error(self.named(name), f"{_shown(value)} is not a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._body.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise field_error(self.named(name), "not usable", "a list of texts")
        return tuple(value)

    def object(self, name: str) -> dict[str, Any]:
        """Return an object; {} if it is missing."""
        value = self._body.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise field_error(self.named(name), "not usable", "an object")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: int) -> int:
        """Return the position of one of ``choices``, given by position or name."""
        value = self._body.get(name)
        if value is None:
            return default
        if isinstance(value, str):
            names = [choice.lower() for choice in choices]
            if value.strip().lower() in names:
                return names.index(value.strip().lower())
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices):
            return value
        listed = ", ".join(f"{number} ({choice})" for number, choice in enumerate(choices))
        raise field_error(self.named(name), f"{_shown(value)} is not usable", listed)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
