"""Files that a worker made in folders of its own, brought to the server's.

A worker on the same machine writes where the server reads, and nothing travels. One with folders of its own sends
each file that an output names ahead of that output; here it is kept under its name, or the next free one, and the
output says the name under which it is kept.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from graph.errors import InputFileError
from graph.events import NodeOutput
from graph.folders import Folders, check_inside, relative_name

_TRAVELLING: Final = ("output", "temp")


@dataclass(frozen=True, slots=True)
class FileName:
    """What clients call a file: ``folder`` is ``output`` or ``temp``."""

    folder: str
    subfolder: str
    filename: str

    @property
    def relative(self) -> str:
        """Below the folder, with ``/``."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename


def files_in(output: NodeOutput, folders: Folders) -> Iterator[tuple[FileName, bytes]]:
    """Each file that ``output`` names, with its bytes; what is not there any more is left out."""
    for name in dict.fromkeys(_names_in(output.ui)):
        try:
            yield name, folders.find(name.folder, name.relative).read_bytes()
        except (InputFileError, OSError):
            continue


class Arrivals:
    """Keeps arriving files in ``folders``, and remembers what they are called there."""

    def __init__(self, folders: Folders):
        self._folders = folders
        self._kept: dict[FileName, FileName] = {}

    def take(self, name: FileName, data: bytes) -> None:
        """Keep a file, whole or not at all. One of the same name and bytes is that file.

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
        """``output`` with the names under which its files are kept here."""
        if not self._kept:
            return output
        ui = {
            key: [self._entry(entry) for entry in shown] if isinstance(shown, (list, tuple)) else shown
            for key, shown in output.ui.items()
        }
        return replace(output, ui=ui)

    def _entry(self, entry: Any) -> Any:
        kept = self._kept.get(_name(entry)) if _is_file(entry) else None
        return {**entry, "filename": kept.filename} if kept is not None else entry


def _place(part: Path, wanted: Path, data: bytes) -> Path:
    """Name the file ``wanted``, or the next free name like it, unless the same file is there."""
    number = 0
    while True:
        path = wanted if number == 0 else wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        try:
            os.link(part, path)
            return path
        except FileExistsError:
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                return path
            number += 1


def _names_in(ui: Mapping[str, Any]) -> Iterator[FileName]:
    for shown in ui.values():
        for entry in shown if isinstance(shown, (list, tuple)) else ():
            if _is_file(entry):
                yield _name(entry)


def _is_file(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("type") in _TRAVELLING and isinstance(entry.get("filename"), str)


def _name(entry: Mapping[str, Any]) -> FileName:
    return FileName(str(entry["type"]), str(entry.get("subfolder") or ""), str(entry["filename"]))
