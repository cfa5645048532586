"""The folders of a worker that does not share the server's, and the input files that the server brings there.

    user/work/contents/ab/abcd…   contents that were brought, named by hash, for all workers of this machine
    user/work/1/                  one worker's input/, output/ and temp/, for it alone while it runs

A content gets its names in the worker's input, output and temp folder as hard links, so it is on disk once. Since each
worker has its own names, the same name may stand for different contents in two runs at the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from graph.content import content_hash, new_hash
from graph.errors import InputFileError
from graph.folders import Folders, relative_name
from graph.operating_system import WINDOWS, link_or_copy, lock_file, name_new_file, replace_file
from server.files.temp_folder import sweep

log = logging.getLogger(__name__)

KEPT_BYTES: Final = 10 * 1024**3
"""Bytes of contents that are kept for later runs; the least recently used are dropped first."""


class ContentStore:
    """Contents by hash in ``folder``, for any number of processes. ``kept_bytes`` limits them."""

    def __init__(self, folder: Path, kept_bytes: int = KEPT_BYTES):
        self._folder = folder
        self._kept_bytes = kept_bytes

    def path(self, content: str) -> Path:
        """Return where ``content`` is if it is there."""
        return self._folder / content[:2] / content

    def has(self, content: str) -> bool:
        """Whether ``content`` is complete; it then counts as just used."""
        path = self.path(content)
        try:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            return False
        return True

    def keep(self, part: Path, content: str) -> None:
        """Move a complete file into the store. Raises OSError."""
        path = self.path(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not WINDOWS:  # which could not replace it then
            part.chmod(0o444)  # its names are links to one file, which nodes must not change
        replace_file(part, path)
        self._stay_within_bounds(content)

    def _stay_within_bounds(self, newest: str) -> None:
        found = sorted(self._files(), key=lambda file: file[1].st_atime_ns)
        total = sum(status.st_size for _, status in found)
        for path, status in found:
            if total <= self._kept_bytes:
                return
            if path.name != newest:
                with contextlib.suppress(OSError):  # another worker drops it, too
                    path.unlink()
                total -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                yield path, path.stat()


class OwnFolders:
    """The work folders of one worker in ``place``, and ``store``, the contents that were brought. Thread-safe."""

    def __init__(self, place: Path, store: ContentStore):
        self._place = place
        self._store = store
        self._placed = _PlacedNames(place / "placed.jsonl")
        self._transfers: dict[int, tuple[Path, BinaryIO, Any]] = {}
        self._failures: dict[str, str] = {}
        self._lock = threading.Lock()
        shutil.rmtree(place / "parts", ignore_errors=True)  # of a process that was killed
        for name in ("parts", "input", "output", "temp"):
            (place / name).mkdir(parents=True, exist_ok=True)
        sweep(place / "temp")

    def folders(self, shared: Folders) -> Folders:
        """Return ``shared`` with the work folders of this worker. Models that it saves are found, too."""
        return shared.with_work_folders(self._place / "input", self._place / "output", self._place / "temp")

    def lacking(self, contents: Sequence[str]) -> list[str]:
        """Return the ``contents`` that are not here."""
        return [content for content in contents if not self._store.has(content)]

    def take(self, transfer: int, content: str, data: bytes, last: bool) -> None:
        """Write the next bytes of ``content``; at the ``last``, keep it if its hash fits. An error drops it."""
        try:
            if transfer not in self._transfers:
                path = self._place / "parts" / secrets.token_hex(8)
                self._transfers[transfer] = (path, path.open("xb"), new_hash())
            path, file, digest = self._transfers[transfer]
            file.write(data)
            digest.update(data)
            if last:
                file.close()
                if digest.hexdigest() == content:
                    self._store.keep(path, content)
                else:
                    log.info("a file changed while it was sent")
        except OSError as error:
            log.error("cannot keep an input file: %s", error)
            self._failures[content] = str(error)
            last = True
        if last:
            self.abandon(transfer)

    def abandon(self, transfer: int) -> None:
        """Drop the bytes of an unfinished transfer."""
        if transfer in self._transfers:
            path, file, _ = self._transfers.pop(transfer)
            file.close()
            path.unlink(missing_ok=True)

    def place(self, files: Sequence[tuple[str, str, str, int]], for_run: bool) -> list[str]:
        """Give contents their names: (folder, name, content, size). Returns the contents that are not here.

        Without ``for_run``, names that exist are left alone. A file that this worker's nodes have saved under such a
        name is renamed. Raises InputFileError for a name that leaves its folder and for a content that could not be
        written, OSError.
        """
        lacking = []
        with self._lock:
            for folder, name, content, size in files:
                target = self._place / folder / relative_name(name, folder)
                if target.exists() and (not for_run or self._holds(target, content, size)):
                    continue
                if not self._store.has(content):
                    failure = self._failures.pop(content, None)
                    if failure is not None:
                        raise InputFileError(f"the worker cannot keep {name} in its folder: {failure}")
                    lacking.append(content)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.exists() and (folder, name) not in self._placed:
                    _move_aside(target)
                self._placed.add(folder, name)
                self._link(self._store.path(content), target)
        return lacking

    def _holds(self, target: Path, content: str, size: int) -> bool:
        """Whether the file has that content."""
        if target.stat().st_size != size:
            return False
        return _same_file(target, self._store.path(content)) or content_hash(target) == content

    def _link(self, source: Path, target: Path) -> None:
        part = target.with_name(f".sumi-{secrets.token_hex(8)}.part")
        try:
            link_or_copy(source, part)
            replace_file(part, target)
        finally:
            part.unlink(missing_ok=True)


class _PlacedNames:
    """The names in the work folders that were given to contents, also by earlier processes; ``file`` lists them."""

    def __init__(self, file: Path):
        self._file = file
        self._names: set[tuple[str, str]] = set()
        with contextlib.suppress(OSError):
            for line in file.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # a line that was cut short
                    folder, name = json.loads(line)
                    self._names.add((folder, name))

    def __contains__(self, name: tuple[str, str]) -> bool:
        return name in self._names

    def add(self, folder: str, name: str) -> None:
        """Record a name before it is given. Raises OSError."""
        if (folder, name) not in self._names:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps([folder, name])}\n")
            self._names.add((folder, name))


def claim_folders(root: Path) -> OwnFolders:
    """Take the first numbered folder in ``root`` that no other process has. It is free again when this one ends.

    Raises OSError if ``root`` cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        lock = lock_file(root / f"{number}.lock")
        if lock is not None:
            _held.append(lock)
            return OwnFolders(root / str(number), ContentStore(root / "contents"))
    raise AssertionError("unreachable")


_held: Final[list[Any]] = []
"""Locks of this process; they end with it."""


def _same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _move_aside(path: Path) -> None:
    """Give the file another name, because the server's file needs this one."""
    for number in itertools.count(1):
        if name_new_file(path, path.with_name(f"{path.stem} (saved here {number}){path.suffix}")):
            path.unlink(missing_ok=True)
            return
