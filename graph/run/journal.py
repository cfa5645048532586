"""Records the files that nodes are about to save, until their run has ended.

If the process is killed, the job runs again under the same run id, and its nodes find here
which files they have already saved. There is one small file per node and call. It is written
and synchronised to disk before the picture appears.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from hashlib import blake2b
from pathlib import Path
from typing import Final

from graph.operating_system import flush_folder

log = logging.getLogger(__name__)

_KEEP_SECONDS: Final = 7 * 24 * 3600
"""Seconds after which a journal is removed: a run that has not been repeated within a week will not be."""


class RunJournal:
    """The journal of one run. Without a ``folder`` it records and finds nothing."""

    def __init__(self, folder: Path | None, run_id: str):
        self._folder = folder / _file_name(run_id) if folder is not None else None

    def of(self, node: str, call_index: int) -> NodeJournal:
        """Return the journal of one call of ``node``, identified by the node's key."""
        if self._folder is None:
            return NodeJournal(None)
        return NodeJournal(self._folder / f"{_file_name(f'{node} {call_index}')}.jsonl")

    def remove(self) -> None:
        """Remove the run's records, since it has ended well."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class NodeJournal:
    """The paths that one call of a node has recorded, by index, in this and earlier attempts."""

    def __init__(self, file: Path | None):
        self._file = file
        self._next = 0
        self._paths = _read(file) if file is not None else {}

    def find(self, index: int) -> str | None:
        """Return the ``index``-th path if its file exists. If not, the next recorded path gets this index."""
        path = self._paths.get(index)
        found = path is not None and os.path.isfile(path)
        self._next = index + 1 if found else index
        return path if found else None

    def note(self, path: str, index: int | None = None) -> None:
        """Record ``path`` as the ``index``-th, or the next one. The record is on disk when this returns.

        Raises OSError if it cannot be written.
        """
        if self._file is None:
            return
        if index is not None:
            self._next = index
        is_new = not self._file.exists()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # The leading newline ends a line that a crash has cut short.
        line = f"\n{json.dumps([self._next, os.path.abspath(path)])}\n"
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            flush_folder(self._file.parent)
            flush_folder(self._file.parent.parent)
        self._paths[self._next] = path
        self._next += 1


def sweep(folder: Path) -> None:
    """Remove old journals of runs that never finished."""
    try:
        runs = list(os.scandir(folder))
    except OSError:
        return
    for run in runs:
        with contextlib.suppress(FileNotFoundError):  # another process is sweeping, too
            if time.time() - run.stat().st_mtime > _KEEP_SECONDS:
                shutil.rmtree(run.path, ignore_errors=True)


def _read(file: Path) -> dict[int, str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    paths: dict[int, str] = {}
    for line in filter(None, lines):
        try:
            index, path = json.loads(line)
        except ValueError:
            log.info("journal %s: a line was cut short", file)
            continue
        paths[index] = path
    return paths


def _file_name(name: str) -> str:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
