"""Patterns in the file names of an editor's document: ``%date:yyyy-MM-dd%`` and ``%Node.field%``.

Editors fill them in when they queue a workflow; this module does so for documents that run without an editor.
Patterns that the node itself fills in when it saves (``%width%``, ``%year%`` …) stay.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graph.formats.canvas import PlacedNode
from graph.formats.widgets import widget_values
from graph.schema import NodeType
from graph.workflow import Link

FILE_NAME_INPUT: Final = "filename_prefix"

_PATTERN: Final = re.compile(r"%([^%]+)%")
_DATE_PART: Final = re.compile(r"yyyy|yy|dd?|MM?|hh?|mm?|ss?")
_NOT_IN_NAMES: Final = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class NamedNode:
    """A node to which file names may refer. ``prefix`` is the start of the ids in its subgraph or group node.

    ``inputs`` are its inputs in the workflow, with the values that run; None for a node that does not run.
    """

    node: PlacedNode
    prefix: str = ""
    inputs: Mapping[str, Any] | None = None


class FileNames:
    """Fills in file names from the inputs of ``nodes`` (from all levels of the document) and the time ``now``.

    An input that another node computes counts with its widget's value.
    """

    def __init__(
        self, nodes: Iterable[NamedNode], registry: Mapping[str, NodeType], now: time.struct_time | None = None
    ):
        self._nodes = nodes
        self._registry = registry
        self._now = now or time.localtime()
        self._by_name: dict[tuple[str | None, str], NamedNode] | None = None

    def fill_in(self, text: str, prefix: str = "") -> str:
        """Return ``text`` with each known pattern replaced. Other text between two ``%`` stays.

        Nodes whose ids begin with the same ``prefix`` are preferred, then other nodes that run.
        """
        return replace_patterns(text, lambda pattern: self._value(pattern, prefix)) if "%" in text else text

    def _value(self, pattern: str, prefix: str) -> str | None:
        if pattern.startswith("date:"):
            return _formatted(self._now, pattern.removeprefix("date:"))
        name, dot, field = pattern.rpartition(".")
        found = self._named(name, prefix) if dot else None
        if found is None:
            return None
        value = (found.inputs or {}).get(field)
        if value is None or isinstance(value, Link):
            value = widget_values(found.node, self._registry.get(found.node.type)).get(field)
        return None if value is None else _NOT_IN_NAMES.sub("_", _as_text(value))

    def _named(self, name: str, prefix: str) -> NamedNode | None:
        """Return the first node with this search name, else the first with this title."""
        if self._by_name is None:
            self._by_name = {}
            nodes = sorted(self._nodes, key=lambda named: named.inputs is None)  # nodes that run come first
            for search in (True, False):
                for named in nodes:
                    key = named.node.search_name if search else self._title(named.node)
                    if key is None:
                        continue
                    self._by_name.setdefault((None, key), named)
                    if named.inputs is not None:
                        self._by_name.setdefault((named.prefix, key), named)
        return self._by_name.get((prefix, name)) or self._by_name.get((None, name))

    def _title(self, node: PlacedNode) -> str:
        known = self._registry.get(node.type)
        return node.title or (known.display_name if known is not None else None) or node.type


def replace_patterns(text: str, value: Callable[[str], str | None]) -> str:
    """Return ``text`` with every ``%pattern%`` replaced by ``value(pattern)``.

    If ``value`` returns None, the first ``%`` is ordinary text and the second one may begin a pattern:
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
    """Return a value as editors write it: ``true``, and ``5`` for 5.0."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
