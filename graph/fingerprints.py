"""File marks: a node's ``fingerprint`` may return them inside plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FileMark:
    """Stands for a file in a fingerprint.

    ``place`` identifies the file and its current state on this machine. ``content`` is a hash of its bytes, None until
    it is known. Results stored before the hash was known are still found afterwards.
    """

    place: str
    content: str | None = None


def by_content(marks: Any) -> Any:
    """Return ``marks`` as plain data, with each file identified by its content where that is known."""
    return _spelled(marks, lambda mark: mark.place if mark.content is None else mark.content)


def by_place(marks: Any) -> Any:
    """Return ``marks`` as plain data, with each file identified by its place."""
    return _spelled(marks, lambda mark: mark.place)


def knows_content(marks: Any) -> bool:
    """Whether a file in ``marks`` is identified by its content."""
    return any(mark.content is not None for mark in _file_marks(marks))


def _spelled(marks: Any, spell: Callable[[FileMark], str]) -> Any:
    if isinstance(marks, FileMark):
        return spell(marks)
    if type(marks) is dict:
        return {name: _spelled(mark, spell) for name, mark in marks.items()}
    if type(marks) in (list, tuple):
        return type(marks)(_spelled(mark, spell) for mark in marks)
    return marks


def _file_marks(marks: Any) -> Iterator[FileMark]:
    if isinstance(marks, FileMark):
        yield marks
    elif type(marks) in (list, tuple, dict):
        for mark in marks.values() if type(marks) is dict else marks:
            yield from _file_marks(mark)
