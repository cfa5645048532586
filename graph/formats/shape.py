"""Checks the shape of JSON from users, and makes the errors."""

from __future__ import annotations

from typing import Any

from graph.errors import FormatError


def wrong(place: str, found: Any, expected: str) -> FormatError:
    """Return the error for ``found`` at ``place`` (``nodes[3].inputs[0].link``)."""
    return FormatError(f"{place}: found {shown(found)}; expected {expected}")


def object_at(value: Any, place: str) -> dict[str, Any]:
    """Return ``value`` if it is an object. Raises FormatError."""
    if not isinstance(value, dict):
        raise wrong(place, value, "an object")
    return value


def list_at(value: Any, place: str) -> list[Any]:
    """Return ``value`` if it is a list; null and a missing key count as an empty one. Raises FormatError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(place, value, "a list")
    return value


def text_at(value: Any, place: str) -> str:
    """Return ``value`` if it is text and not empty. Raises FormatError."""
    if not isinstance(value, str) or not value:
        raise wrong(place, value, "text")
    return value


def integer_at(value: Any, place: str) -> int:
    """Return ``value`` as an integer; ``3.0`` is accepted. Raises FormatError."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(place, value, "an integer")
    return value


def id_at(value: Any, place: str) -> str:
    """Return an id as text: files write ``3`` and ``"3"`` for the same node. Raises FormatError."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(place, value, "an id: an integer or text")
    return str(integer_at(value, place))


def shown(value: Any, limit: int = 60) -> str:
    """Return ``value`` as text for an error message, cut to about ``limit`` characters."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"an object with {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge integer"
    text = repr(value[:limit] if isinstance(value, str) else value)
    return f"{text}…" if isinstance(value, str) and len(value) > limit else text[: limit + 2]
