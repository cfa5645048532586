"""Patterns in the file names of an editor's document: ``%date:yyyy-MM-dd%`` and ``%Node.field%``.

Editors fill them in when they queue a workflow. A document that is run without an editor gets the same here.
The patterns that the node fills in when it saves (``%width%``, ``%year%`` …) stay.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from graph.formats.canvas import PlacedNode
from graph.formats.widgets import widget_values
from graph.schema import NodeType

FILE_NAME_INPUT: Final = "filename_prefix"

_PATTERN: Final = re.compile(r"%([^%]+)%")
_DATE_PART: Final = re.compile(r"yyyy|yy|dd?|MM?|hh?|mm?|ss?")
_NOT_IN_NAMES: Final = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


class FileNames:
    """Fills in file names from the widgets of ``nodes`` (from all levels of the document) and the time ``now``."""

    def __init__(
        self, nodes: Iterable[PlacedNode], registry: Mapping[str, NodeType], now: time.struct_time | None = None
    ):
        self._nodes = nodes
        self._registry = registry
        self._now = now or time.localtime()
        self._by_name: dict[str, PlacedNode] | None = None

    def fill_in(self, text: str) -> str:
        """Return ``text`` with each known pattern replaced. Other text between two ``%`` stays."""
        return replace_patterns(text, self._value) if "%" in text else text

    def _value(self, pattern: str) -> str | None:
        if pattern.startswith("date:"):
            return _formatted(self._now, pattern.removeprefix("date:"))
        name, dot, field = pattern.rpartition(".")
        node = self._named(name) if dot else None
        if node is None:
            return None
        value = widget_values(node, self._registry.get(node.type)).get(field)
        return None if value is None else _NOT_IN_NAMES.sub("_", _as_text(value))

    def _named(self, name: str) -> PlacedNode | None:
        """The first node with this name for search and replace, else the first with this title."""
        if self._by_name is None:
            self._by_name = {}
            nodes = list(self._nodes)
            for names in (lambda node: node.search_name, self._title):
                for node in nodes:
                    if (key := names(node)) is not None:
                        self._by_name.setdefault(key, node)
        return self._by_name.get(name)

    def _title(self, node: PlacedNode) -> str:
        known = self._registry.get(node.type)
        return node.title or (known.display_name if known is not None else None) or node.type


def replace_patterns(text: str, value: Callable[[str], str | None]) -> str:
    """Return ``text`` with every ``%pattern%`` replaced by ``value(pattern)``.

    Where that is None the first ``%`` is ordinary text, and the second one may begin a pattern:
    ``100%_%width%`` becomes ``100%_64``.
    """
    parts: list[str] = []
    at = 0
    while (start := text.find("%", at)) >= 0:
        match = _PATTERN.match(text, start)
        found = value(match[1]) if match is not None else None
        if match is None or found is None:
            parts.append(text[at : start + 1])
            at = start + 1
        else:
            parts += [text[at:start], found]
            at = match.end()
    return "".join([*parts, text[at:]])


def _formatted(now: time.struct_time, pattern: str) -> str:
    numbers = {"d": now.tm_mday, "M": now.tm_mon, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def part(match: re.Match[str]) -> str:
        sign = match[0]
        return str(now.tm_year)[-len(sign) :] if sign[0] == "y" else f"{numbers[sign[0]]:0{len(sign)}}"

    return _DATE_PART.sub(part, pattern)


def _as_text(value: Any) -> str:
    """A value as editors write it: ``true``, and ``5`` for 5.0."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
