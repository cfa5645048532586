"""A cached result, and the record of the files it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graph.errors import InputFileError
from graph.folders import Folders
from graph.results import files_in

Outputs = tuple[tuple[Any, ...], ...]
"""The elements of each output: one, unless the output or an input is a list."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and time of a file that a node's ``ui`` names, read when the node had just run.

    ``folder`` is ``output``, ``temp`` or ``input``; ``path`` is relative to it; ``mtime`` in ns.
    """

    folder: str
    path: str
    size: int
    mtime: int

    def is_in_place(self, folders: Folders) -> bool:
        """Whether the file exists and is unchanged since the node ran."""
        try:
            found = os.stat(folders.place(self.folder) / self.path)
        except (OSError, ValueError, InputFileError):
            return False
        return found.st_size == self.size and found.st_mtime_ns == self.mtime


@dataclass(slots=True)
class Entry:
    """A node's result. ``files`` are the files that ``ui`` names; the result is valid while they are in place.

    ``expanded`` is the identity of the result of a node that expanded, and whether it means the same in
    other processes. ``digests`` are hashes of the outputs' elements, kept when values are checked for change.
    """

    outputs: Outputs
    ui: Mapping[str, Any] | None = None
    files: tuple[FileRecord, ...] = ()
    expanded: tuple[str, bool] | None = None
    digests: tuple[tuple[bytes, ...], ...] | None = None


def files_named_in(ui: Mapping[str, Any] | None, folders: Folders | None) -> tuple[FileRecord, ...] | None:
    """Return a record of each file that ``ui`` names, or None if one of them does not exist."""
    records = []
    for file in files_in(ui):
        if folders is None:
            return None
        try:
            found = os.stat(folders.place(file.folder) / file.relative)
        except (OSError, ValueError, InputFileError):
            return None
        records.append(FileRecord(file.folder, file.relative, found.st_size, found.st_mtime_ns))
    return tuple(records)
