"""What the cache keeps of a node that ran."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph.errors import InputFileError
from graph.folders import Folders

Outputs = tuple[tuple[Any, ...], ...]
"""Per output, its elements: one, unless lists are about."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that a node's ``ui`` names, as it was when the node had just run.

    ``folder`` is ``output``, ``temp`` or ``input``; ``path`` is relative to it; ``mtime`` in ns.
    """

    folder: str
    path: str
    size: int
    mtime: int

    def is_in_place(self, folders: Folders) -> bool:
        """Whether the file is there and has not been written to since."""
        try:
            found = os.stat(folders.place(self.folder) / self.path)
        except (OSError, ValueError, InputFileError):
            return False
        return found.st_size == self.size and found.st_mtime_ns == self.mtime


@dataclass(slots=True)
class Entry:
    """A node's result. ``files`` are those that ``ui`` names: a hit needs them in place.

    ``expanded`` is the identity of the result of a node that expanded, and whether that holds in
    other processes too. ``digests`` are hashes of the outputs' elements, kept when values are checked for change.
    """

    outputs: Outputs
    ui: Mapping[str, Any] | None = None
    files: tuple[FileRecord, ...] = ()
    expanded: tuple[str, bool] | None = None
    digests: tuple[tuple[bytes, ...], ...] | None = None


def files_named_in(ui: Mapping[str, Any] | None, folders: Folders | None) -> tuple[FileRecord, ...] | None:
    """A record of each file that ``ui`` names, or None if one is not there to be recorded."""
    records = []
    for folder, path in _names_in(ui):
        if folders is None:
            return None
        try:
            found = os.stat(folders.place(folder) / path)
        except (OSError, ValueError, InputFileError):
            return None
        records.append(FileRecord(folder, path, found.st_size, found.st_mtime_ns))
    return tuple(records)


def _names_in(ui: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    for shown in (ui or {}).values():
        for item in shown if isinstance(shown, (list, tuple)) else ():
            if isinstance(item, Mapping) and "filename" in item and "type" in item:
                yield str(item["type"]), str(Path(str(item.get("subfolder") or "")) / str(item["filename"]))
