"""Summarizes values as short plain data, for error reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from graph.cache.tree import SCALARS

_LONGEST_TEXT: Final = 1000
_LONGEST_LIST: Final = 8


def summary(elements: Sequence[Any]) -> list[Any]:
    """Return an input's elements: scalars unchanged, anything else as type and shape."""
    shown = [_one(element) for element in elements[:_LONGEST_LIST]]
    if len(elements) > _LONGEST_LIST:
        shown.append(f"… {len(elements)} in all")
    return shown


def _one(value: Any) -> Any:
    kind = type(value)
    if kind is str and len(value) > _LONGEST_TEXT:
        return value[:_LONGEST_TEXT] + "…"
    if kind in SCALARS:
        return value
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{kind.__name__} {list(shape)}"
    if isinstance(value, (list, tuple, dict)):
        return f"{kind.__name__} of {len(value)}"
    return kind.__name__
