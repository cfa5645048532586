"""The disk tier: one safetensors file per result, named by its key.

A file's tensors are the blobs that codecs made of the result's leaves; the rest is JSON in
its metadata, with a checksum over both. A separate thread writes each file under a temporary
name and renames it, so several processes may share a folder. A damaged file counts as a miss
and is removed.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from graph.cache.entry import Entry, FileRecord
from graph.cache.tree import Encoded, decode, encode
from graph.codec import Blob, Codec
from graph.operating_system import replace_file

log = logging.getLogger(__name__)

_ENDING: Final = ".safetensors"
_FORMAT: Final = "sumi-result-1"
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
            entry = _unpack(memoryview(data), self._codecs)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
        return [os.path.basename(path).removesuffix(_ENDING) for path, _ in self._files()]

    def stats(self) -> dict[str, Any]:
        sizes = [status.st_size for _, status in self._files()]
        return {"disk_entries": len(sizes), "disk_bytes": sum(sizes), "disk_limit": self.limit_bytes}

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key[:2]}/{key}{_ENDING}"

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
        packed = _pack(entry, self._codecs)
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
                if file.name.endswith(_ENDING):
                    yield file.path, status
                elif file.name.endswith(".tmp") and now - status.st_mtime > _STALE_SECONDS:
                    _remove(file.path)


def _pack(entry: Entry, codecs: Sequence[Codec]) -> list[bytes | bytearray | memoryview] | None:
    """Return ``entry`` as the parts of a safetensors file, or None if one of its values must stay in memory."""
    encoded = encode([entry.outputs, entry.ui], codecs)
    if encoded is None:
        return None
    files = [[file.folder, file.path, file.size, file.mtime] for file in entry.files]
    result = json.dumps({"tokens": encoded.tokens, "files": files})
    checksum = zlib.crc32(result.encode())
    header: dict[str, Any] = {}
    offset = 0
    for index, blob in enumerate(encoded.blobs):
        end = offset + memoryview(blob.data).nbytes
        header[str(index)] = {"dtype": blob.dtype, "shape": blob.shape, "data_offsets": [offset, end]}
        checksum = _checksum(blob, checksum)
        offset = end
    header["__metadata__"] = {"format": _FORMAT, "result": result, "crc32": str(checksum)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *(blob.data for blob in encoded.blobs)]


def _unpack(data: memoryview, codecs: Sequence[Codec]) -> Entry:
    """Undo :func:`_pack`. Raises ValueError, KeyError, TypeError or AttributeError for data that :func:`_pack` did
    not write, LookupError if a codec is missing."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("it is cut short")
    header = json.loads(bytes(data[8 : 8 + length]))
    metadata = header.pop("__metadata__")
    if metadata["format"] != _FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}")
    blobs = [_blob(header[str(index)], data[8 + length :]) for index in range(len(header))]
    checksum = zlib.crc32(metadata["result"].encode())
    for blob in blobs:
        checksum = _checksum(blob, checksum)
    if str(checksum) != metadata["crc32"]:
        raise ValueError("its checksum is wrong")
    result = json.loads(metadata["result"])
    outputs, ui = decode(Encoded(result["tokens"], blobs), codecs)
    return Entry(outputs, ui, tuple(FileRecord(*record) for record in result["files"]))


def _blob(described: Mapping[str, Any], data: memoryview) -> Blob:
    begin, end = described["data_offsets"]
    if not 0 <= begin <= end <= len(data):
        raise ValueError("it is cut short")
    return Blob(described["dtype"], tuple(described["shape"]), data[begin:end])


def _checksum(blob: Blob, before: int) -> int:
    described = zlib.crc32(f"{blob.dtype}{list(blob.shape)}".encode(), before)
    return zlib.crc32(blob.data, described)


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
