"""Reads places of nodes, notes and groups from an editor document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

NOTE_TYPES: Final = ("Note", "MarkdownNote")

Pair = tuple[float, float]

_LOOK: Final = ("color", "bgcolor", "shape", "flags")
"""Members of an editor's node that only change how it looks."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is on the canvas, in pixels: its upper left corner, its width and height.

    ``look`` are further members of the editor's node: ``color``, ``bgcolor``, ``shape``, ``flags``.
    """

    at: Pair | None = None
    size: Pair | None = None
    look: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A note on the canvas; its text is Markdown or plain."""

    text: str
    title: str | None = None
    markdown: bool = False
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Group:
    """A titled frame on the canvas."""

    title: str
    at: Pair
    size: Pair
    color: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything in an editor document except nodes and links. ``places`` are by node id.

    ``extra`` are members of the document's ``extra``.
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    notes: Sequence[Note] = ()
    groups: Sequence[Group] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_surroundings(document: Mapping[str, Any]) -> Surroundings:
    """Read the outermost level of an editor document. Members of an unexpected form are left out."""
    places: dict[str, Place] = {}
    notes: list[Note] = []
    for node in _objects(document.get("nodes")):
        place = _place(node)
        if node.get("type") in NOTE_TYPES:
            title = node.get("title")
            given = title if isinstance(title, str) and title else None
            notes.append(Note(_text(node.get("widgets_values")), given, node["type"] == "MarkdownNote", place))
        else:
            places[str(node.get("id"))] = place
    groups = [found for group in _objects(document.get("groups")) if (found := _group(group)) is not None]
    extra = document.get("extra")
    fields = extra if isinstance(extra, Mapping) else {}
    kept = {name: fields[name] for name in ("linearMode", "linearData") if name in fields}
    return Surroundings(places, notes, groups, kept)


def _place(node: Mapping[str, Any]) -> Place:
    look = {name: node[name] for name in _LOOK if node.get(name) not in (None, {})}
    return Place(_pair(node.get("pos")), _pair(node.get("size")), look)


def _group(group: Mapping[str, Any]) -> Group | None:
    bounds = group.get("bounding")
    if not isinstance(bounds, list) or len(bounds) < 4:
        return None
    at, size = _pair(bounds[:2]), _pair(bounds[2:4])
    if at is None or size is None:
        return None
    color = group.get("color")
    return Group(str(group.get("title") or ""), at, size, color if isinstance(color, str) else None)


def _text(values: Any) -> str:
    listed = list(values.values()) if isinstance(values, Mapping) else values
    return str(listed[0]) if isinstance(listed, list) and listed else ""


def _pair(value: Any) -> Pair | None:
    """Return a pair of numbers; old files write it as ``{"0": x, "1": y}``."""
    if isinstance(value, Mapping):
        value = [value.get("0"), value.get("1")]
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        return None
    first, second = value[0], value[1]
    if any(isinstance(each, bool) or not isinstance(each, (int, float)) for each in (first, second)):
        return None
    return first, second


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in value if isinstance(each, Mapping)) if isinstance(value, list) else ()
