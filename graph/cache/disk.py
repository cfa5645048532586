"""The disk tier: one safetensors file per result, named by its key.

A separate thread writes each file under a temporary name and renames it, so several processes may share a folder. A
damaged file counts as a miss and is removed.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from graph.cache.entry import Entry
from graph.cache.file_format import DAMAGED, ENDING, pack, unpack
from graph.codec import Codec
from graph.operating_system import replace_file

log = logging.getLogger(__name__)

_QUEUE_LENGTH: Final = 64
"""Length of the write queue at which :meth:`DiskCache.put` starts to wait."""
_KEEP_FRACTION: Final = 0.9
"""Share of the limit that is still used after a clean-up."""
_RESCAN_FRACTION: Final = 0.05
"""Share of the limit that this process may add before it measures the folder again (other processes write too)."""
_STALE_SECONDS: Final = 3600
"""Seconds after which a temporary file counts as abandoned."""


class DiskCache:
    """Keeps at most ``limit_bytes`` of results in ``folder`` and drops the least recently used first."""

    def __init__(self, folder: Path, limit_bytes: int, codecs: Sequence[Codec]):
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._codecs = codecs
        self._pending: dict[str, Entry] = {}
        self._queue: queue.Queue[str | None] = queue.Queue(_QUEUE_LENGTH)
        self._writer: threading.Thread | None = None
        self._total: int | None = None
        self._added = 0
        self._failure_logged = False

    def has(self, key: str) -> bool:
        return key in self._pending or os.path.exists(self._path(key))

    def get(self, key: str) -> Entry | None:
        """Return the result, or None if there is no readable one."""
        entry = self._pending.get(key)
        if entry is not None:
            return entry
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        try:
            entry = unpack(memoryview(data), self._codecs)
        except DAMAGED as error:
            log.warning("cache file %s is damaged and was removed: %s", path, error)
            _remove(path)
            return None
        except LookupError as error:
            log.info("cache file %s cannot be read here: %s", path, error)
            return None
        _touch(path)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Queue ``entry`` for writing. Waits only when the queue is full."""
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="cache writer", daemon=True)
            self._writer.start()
        self._pending[key] = entry
        self._queue.put(key)

    def rename(self, former: str, key: str) -> None:
        """Move the result stored under ``former``, if there is one, to ``key``."""
        entry = self._pending.get(former)
        if entry is not None:
            self.put(key, entry)
            return
        source, target = self._path(former), self._path(key)
        if not os.path.exists(source) or os.path.exists(target):
            return
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            replace_file(source, target)
        except OSError as error:
            self._log_failure(error)

    def flush(self) -> None:
        """Wait until every queued entry is written."""
        self._queue.join()

    def close(self) -> None:
        self.flush()
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None

    def keys(self) -> list[str]:
        """Return the keys of all results in the folder, also of those that other processes wrote."""
        return [os.path.basename(path).removesuffix(ENDING) for path, _ in self._files()]

    def stats(self) -> dict[str, Any]:
        sizes = [status.st_size for _, status in self._files()]
        return {"disk_entries": len(sizes), "disk_bytes": sum(sizes), "disk_limit": self.limit_bytes}

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key[:2]}/{key}{ENDING}"

    def _write_all(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                entry = self._pending.get(key)
                if entry is not None:
                    self._write(key, entry)
            except OSError as error:
                self._log_failure(error)
            except Exception:
                log.exception("a result could not be written to the cache")
            finally:
                self._pending.pop(key, None)
                self._queue.task_done()
        self._queue.task_done()

    def _write(self, key: str, entry: Entry) -> None:
        packed = pack(entry, self._codecs)
        if packed is None:
            return
        size = sum(memoryview(part).nbytes for part in packed)
        if size > self.limit_bytes:
            return
        path = self._path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{os.path.dirname(path)}/.{key[:8]}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
        try:
            with open(temporary, "xb") as file:
                for part in packed:
                    file.write(part)
            replace_file(temporary, path)
        except BaseException:
            _remove(temporary)
            raise
        self._keep_within_bounds(size)

    def _log_failure(self, error: OSError) -> None:
        if not self._failure_logged:
            self._failure_logged = True
            log.warning("cannot write results to the cache in %s: %s; runs continue without it", self.folder, error)

    def _keep_within_bounds(self, added: int) -> None:
        self._added += added
        if self._total is not None:
            self._total += added
        if (
            self._total is not None
            and self._total <= self.limit_bytes
            and self._added <= self.limit_bytes * _RESCAN_FRACTION
        ):
            return
        self._added = 0
        files = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        self._total = sum(status.st_size for _, status in files)
        if self._total <= self.limit_bytes:
            return
        for path, status in files:
            if self._total <= self.limit_bytes * _KEEP_FRACTION:
                break
            _remove(path)
            self._total -= status.st_size

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """List every result's file, and remove temporary files left behind by a killed writer."""
        now = time.time()
        for directory in _scan(self.folder):
            if len(directory.name) != 2 or not directory.is_dir():
                continue
            for file in _scan(directory.path):
                try:
                    status = file.stat()
                except OSError:
                    continue
                if file.name.endswith(ENDING):
                    yield file.path, status
                elif file.name.endswith(".tmp") and now - status.st_mtime > _STALE_SECONDS:
                    _remove(file.path)


def _scan(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _touch(path: str) -> None:
    try:
        os.utime(path)
    except OSError:
        log.debug("cannot touch %s", path)


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        log.debug("cannot remove %s", path)
