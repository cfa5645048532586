"""Places nodes in columns, from left to right along their links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graph.writing.places import Pair

_COLUMN_GAP: Final = 80.0
_ROW_GAP: Final = 40.0
_TITLE: Final = 30.0
"""Height of a node's title bar, which is above its corner."""
_SWEEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node to place: its width and height in pixels, and the ids of the nodes that feed it."""

    size: Pair
    sources: Sequence[str]


def layered(boxes: Mapping[str, Box], corner: Pair = (40.0, 60.0)) -> dict[str, Pair]:
    """Return the upper left corner of each box; none overlap, and links lead to the right where there is no cycle.

    A box stands one column to the right of the last of its sources. Within a column, boxes are ordered by the mean
    place of their neighbours (Sugiyama's layered drawing with the barycentre rule).
    """
    columns = _columns(boxes)
    rows = _ordered(boxes, columns)
    places: dict[str, Pair] = {}
    x = corner[0]
    for column in rows:
        y = corner[1]
        for name in column:
            places[name] = (x, y)
            y += boxes[name].size[1] + _TITLE + _ROW_GAP
        x += max(boxes[name].size[0] for name in column) + _COLUMN_GAP
    return places


def topological(sources: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that each follows its sources where there is no cycle, else in the given order.

    The result keeps the given order as far as possible. Unknown sources are ignored.
    """
    done: dict[str, None] = {}
    for start in sources:
        path = [(start, iter(sources[start]))]
        entered = {start}
        while path:
            name, rest = path[-1]
            if name in done:
                path.pop()
                continue
            following = next((each for each in rest if each in sources and each not in done), None)
            if following is None:
                done[name] = None
                path.pop()
            elif following not in entered:
                entered.add(following)
                path.append((following, iter(sources[following])))
    return list(done)


def _columns(boxes: Mapping[str, Box]) -> list[list[str]]:
    order = topological({name: box.sources for name, box in boxes.items()})
    at: dict[str, int] = {}
    for name in order:
        at[name] = 1 + max((at[source] for source in boxes[name].sources if source in at), default=-1)
    columns: list[list[str]] = [[] for _ in range(max(at.values(), default=-1) + 1)]
    for name in boxes:
        columns[at[name]].append(name)
    return columns


def _ordered(boxes: Mapping[str, Box], columns: list[list[str]]) -> list[list[str]]:
    neighbours: dict[str, list[str]] = {name: [] for name in boxes}
    for name, box in boxes.items():
        for source in box.sources:
            if source in boxes:
                neighbours[name].append(source)
                neighbours[source].append(name)
    row = {name: float(index) for column in columns for index, name in enumerate(column)}
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            means = {
                name: sum(row[each] for each in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else row[name]
                for name in column
            }
            column.sort(key=means.__getitem__)
            row.update({name: float(index) for index, name in enumerate(column)})
    return columns
