"""Converts a literal in a workflow to the value that a node receives.

Clients are loose about JSON types: for an INT they send ``3.0`` and ``"3"``.
Validation and keys both use this module, so they agree about such literals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from graph.schema import Input

_BOX_SIDES: Final = ("x", "y", "width", "height")
"""The keys of a BOUNDING_BOX, in pixels."""


def coerce(declared: Input, value: Any) -> Any:
    """Return the value that ``declared`` receives for the literal ``value``.

    INT takes integers, finite floats (cut towards zero), booleans and decimal strings;
    FLOAT finite numbers and numeric strings; BOOLEAN booleans, numbers and the words true
    and false; STRING strings, numbers and booleans; BOUNDING_BOX an object of the integers x, y,
    width and height. COMBO and the nodes' own types are
    passed on unchanged, and so is None if the input is optional.
    Bounds and choices are not checked here; validation does that.

    Raises TypeError for a literal of the wrong type, ValueError for one of the right type
    without a usable value (``"abc"`` as a number, a NaN).
    """
    reader = _READERS.get(declared.type)
    if reader is None or (value is None and not declared.required):
        return value
    return reader(value)


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(_finite(value))
    if isinstance(value, (int, str)):
        return int(value)
    raise TypeError(f"{_kind(value)} is not an integer")


def _float(value: Any) -> float:
    if isinstance(value, (int, float, str)):
        try:
            return _finite(float(value))
        except OverflowError as error:
            raise ValueError("the number is too large for a float") from error
    raise TypeError(f"{_kind(value)} is not a number")


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        raise ValueError(f"{value!r} is neither true nor false")
    if isinstance(value, (int, float)):
        return bool(_finite(value))
    raise TypeError(f"{_kind(value)} is not a boolean")


def _string(value: Any) -> str:
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(f"{_kind(value)} is not a string")


def _box(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{_kind(value)} is not a rectangle")
    box = dict(value)
    for side in _BOX_SIDES:
        if side not in box:
            raise ValueError(f"{side!r} is missing")
        try:
            box[side] = _integer(box[side])
        except (TypeError, ValueError) as error:
            raise type(error)(f"{side!r}: {error}") from error
    return box


def _finite(number: float) -> float:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    return f"a {type(value).__name__}"


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "INT": _integer,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "STRING": _string,
    "BOUNDING_BOX": _box,
}
