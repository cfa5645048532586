"""Copies files between the server's folders and a worker's own.

A worker on the same machine reads and writes the server's folders, and no file is sent. To a worker with separate
folders, :mod:`server.workers.input_files` brings the files that a run names. The worker sends each file that an output
names before that output. The server stores the file under its name or the next free one, and changes the name in the
output.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from graph.content import new_hash
from graph.errors import InputFileError
from graph.events import NodeOutput
from graph.folders import Folders, check_inside, next_counter, relative_name
from graph.operating_system import name_new_file
from graph.results import SavedFile, files_in, with_changed_files
from server.workers.input_files import InputFiles
from server.workers.interface import RunRequest

_SENT_FOLDERS: Final = ("output", "temp")
_COUNTED: Final = re.compile(r"(.*)_(\d+)(_?)")
_RUNS_REMEMBERED: Final = 1_000
_FILES_REMEMBERED: Final = 10_000


def contents_of_files(output: NodeOutput, folders: Folders) -> Iterator[tuple[SavedFile, bytes]]:
    """Yield each file that ``output`` names, with its bytes; missing files are left out."""
    for file in dict.fromkeys(files_in(output.ui)):
        if file.folder not in _SENT_FOLDERS:
            continue
        try:
            yield file, folders.find(file.folder, file.relative).read_bytes()
        except (InputFileError, OSError):
            continue


class ServerFiles:
    """The server's files, for all workers with separate folders. ``inputs`` are sent to them."""

    def __init__(self, folders: Folders):
        self.folders = folders
        self.inputs = InputFiles(folders)
        self._unfinished: OrderedDict[tuple[str, str], list[_Kept]] = OrderedDict()
        self._stored: OrderedDict[tuple[SavedFile, str], _Kept] = OrderedDict()

    def arrivals(self, request: RunRequest) -> Arrivals:
        """Return the place for the files of one attempt at a run.

        A file of an attempt whose worker died, perhaps another worker, is used again if the same content arrives.
        """
        run = (request.prompt_id, request.part)
        earlier = self._unfinished.setdefault(run, [])
        self._unfinished.move_to_end(run)
        while len(self._unfinished) > _RUNS_REMEMBERED:
            self._unfinished.popitem(last=False)
        return Arrivals(self, earlier)

    def run_ended(self, request: RunRequest) -> None:
        """Forget the files of a run's attempts, since it will not run again."""
        self._unfinished.pop((request.prompt_id, request.part), None)

    def stored(self, name: SavedFile, content: str) -> _Kept | None:
        """Return the file that an earlier run has stored for this name and content, if it is unchanged."""
        kept = self._stored.get((name, content))
        return kept if kept is not None and kept.is_in_place(self.folders) else None

    def remember(self, name: SavedFile, kept: _Kept) -> None:
        """Record under which name a worker's file is stored."""
        self._stored[name, kept.content] = kept
        if len(self._stored) > _FILES_REMEMBERED:
            self._stored.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A stored file and its state then."""

    file: SavedFile
    content: str
    size: int
    mtime_ns: int

    def is_in_place(self, folders: Folders) -> bool:
        try:
            found = (folders.place(self.file.folder) / self.file.relative).stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(slots=True)
class Arrivals:
    """Stores the files of one attempt at a run and records their names. ``earlier`` has the names of other attempts."""

    server: ServerFiles
    earlier: list[_Kept]
    _kept: dict[SavedFile, SavedFile] = field(default_factory=dict)
    _waiting: list[_Kept] = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = list(self.earlier)

    def take(self, name: SavedFile, data: bytes) -> None:
        """Store a file completely or not at all. An existing file with the same name and bytes is used.

        Raises InputFileError for a name that leaves its folder, OSError if the file cannot be written.
        """
        digest = new_hash()
        digest.update(data)
        content = digest.hexdigest()
        kept = self._of_earlier_attempt(name, content) or self.server.stored(name, content)
        if kept is None:
            kept = self._store(name, data, content)
            self.earlier.append(kept)
        self.server.remember(name, kept)
        self._kept[name] = kept.file

    def renamed(self, output: NodeOutput) -> NodeOutput:
        """Return ``output`` with the names under which its files are stored here."""
        return replace(output, ui=with_changed_files(output.ui, self._entry)) if self._kept else output

    def _entry(self, entry: Mapping[str, Any], file: SavedFile) -> Mapping[str, Any]:
        kept = self._kept.get(file)
        return entry if kept is None else {**entry, "filename": kept.filename}

    def _of_earlier_attempt(self, name: SavedFile, content: str) -> _Kept | None:
        """Return an unused file of an earlier attempt with this content and folder. Each is used once."""
        for kept in self._waiting:
            same_folder = (kept.file.folder, kept.file.subfolder) == (name.folder, name.subfolder)
            if same_folder and kept.content == content and kept.is_in_place(self.server.folders):
                self._waiting.remove(kept)
                return kept
        return None

    def _store(self, name: SavedFile, data: bytes, content: str) -> _Kept:
        if name.folder not in _SENT_FOLDERS:
            raise InputFileError(f"a worker sent a file to {name.folder!r}; expected one of {', '.join(_SENT_FOLDERS)}")
        root = self.server.folders.place(name.folder)
        wanted = root / relative_name(name.relative, name.folder)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        check_inside(wanted.parent, root, name.relative, name.folder)
        part = wanted.parent / f".sumi-{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(data)
            path = _place(part, wanted, data)
        finally:
            part.unlink(missing_ok=True)
        status = path.stat()
        return _Kept(replace(name, filename=path.name), content, status.st_size, status.st_mtime_ns)


def _place(part: Path, wanted: Path, data: bytes) -> Path:
    """Name the file ``wanted`` or the next free name like it, unless the same file exists already."""
    for path in _names_like(wanted):
        if name_new_file(part, path):
            return path
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return path
    raise AssertionError("unreachable")


def _names_like(wanted: Path) -> Iterator[Path]:
    """Yield ``wanted``, then the next names: ``cat_00007_.png`` after ``cat_00003_.png``, ``cat (1).png`` after
    ``cat.png``."""
    yield wanted
    counted = _COUNTED.fullmatch(wanted.stem)
    number = next_counter(wanted.parent, counted[1]) if counted is not None else 1
    while True:
        stem = f"{counted[1]}_{number:0{len(counted[2])}}{counted[3]}" if counted else f"{wanted.stem} ({number})"
        yield wanted.with_name(stem + wanted.suffix)
        number += 1
