"""Copies files that a worker made in its own folders to the server's folders.

A worker on the same machine writes to the server's folders, and no file is sent. A worker with separate folders
sends each file that an output names before that output. The server stores the file under its name or the next
free one, and changes the name in the output.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from graph.errors import InputFileError
from graph.events import NodeOutput
from graph.folders import Folders, check_inside, relative_name
from graph.operating_system import name_new_file
from graph.results import SavedFile, files_in, with_changed_files

_SENT_FOLDERS: Final = ("output", "temp")


def contents_of_files(output: NodeOutput, folders: Folders) -> Iterator[tuple[SavedFile, bytes]]:
    """Yield each file that ``output`` names, with its bytes; missing files are left out."""
    for file in dict.fromkeys(files_in(output.ui)):
        if file.folder not in _SENT_FOLDERS:
            continue
        try:
            yield file, folders.find(file.folder, file.relative).read_bytes()
        except (InputFileError, OSError):
            continue


class Arrivals:
    """Stores arriving files in ``folders`` and records their names there."""

    def __init__(self, folders: Folders):
        self._folders = folders
        self._kept: dict[SavedFile, SavedFile] = {}

    def take(self, name: SavedFile, data: bytes) -> None:
        """Store a file completely or not at all. An existing file with the same name and bytes is used.

        Raises InputFileError for a name that leaves its folder, OSError if the file cannot be written.
        """
        root = self._folders.place(name.folder)
        wanted = root / relative_name(name.relative, name.folder)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        check_inside(wanted.parent, root, name.relative, name.folder)
        part = wanted.parent / f".sumi-{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(data)
            path = _place(part, wanted, data)
        finally:
            part.unlink(missing_ok=True)
        self._kept[name] = replace(name, filename=path.name)

    def renamed(self, output: NodeOutput) -> NodeOutput:
        """Return ``output`` with the names under which its files are stored here."""
        return replace(output, ui=with_changed_files(output.ui, self._entry)) if self._kept else output

    def _entry(self, entry: Mapping[str, Any], file: SavedFile) -> Mapping[str, Any]:
        kept = self._kept.get(file)
        return entry if kept is None else {**entry, "filename": kept.filename}


def _place(part: Path, wanted: Path, data: bytes) -> Path:
    """Name the file ``wanted`` or a free name like it, unless the same file exists already."""
    number = 0
    while True:
        path = wanted if number == 0 else wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        if name_new_file(part, path):
            return path
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return path
        number += 1
