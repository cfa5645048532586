"""The disk tier: one safetensors file per result, named by its key.

A file's tensors are the blobs that codecs made of the result's leaves; the rest is JSON in
its metadata, with a checksum over both. Files are written by a thread of their own, to a
temporary name, and renamed, so several processes may share a folder. A file that is damaged
is a miss and is removed.
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

log = logging.getLogger(__name__)

_ENDING: Final = ".safetensors"
_FORMAT: Final = "sumi-result-1"
_QUEUE_LENGTH: Final = 64
"""Results that may wait for the writer before the run waits for it."""
_KEEP_FRACTION: Final = 0.9
"""How full the folder is left when it had to be cleared."""
_RESCAN_FRACTION: Final = 0.05
"""Share of the limit that this process may add before it counts what others have added."""
_STALE_SECONDS: Final = 3600
"""Age at which a temporary file has no writer any more."""


class DiskCache:
    """At most ``limit_bytes`` of results in ``folder``; the least recently used go first."""

    def __init__(self, folder: Path, limit_bytes: int, codecs: Sequence[Codec]):
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._codecs = codecs
        self._pending: dict[str, Entry] = {}
        self._queue: queue.Queue[str | None] = queue.Queue(_QUEUE_LENGTH)
        self._writer: threading.Thread | None = None
        self._total: int | None = None
        self._added = 0
        self._complained = False

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
        """Have ``entry`` written soon. Waits only when the writer is far behind."""
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="cache writer", daemon=True)
            self._writer.start()
        self._pending[key] = entry
        self._queue.put(key)

    def rename(self, former: str, key: str) -> None:
        """Have the result of ``former``, if there is one, found under ``key``."""
        entry = self._pending.get(former)
        if entry is not None:
            self.put(key, entry)
            return
        source, target = self._path(former), self._path(key)
        if not os.path.exists(source) or os.path.exists(target):
            return
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(source, target)
        except OSError as error:
            self._complain(error)

    def flush(self) -> None:
        """Wait until everything that was put is written."""
        self._queue.join()

    def close(self) -> None:
        self.flush()
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None

    def keys(self) -> list[str]:
        """The keys of the results that are there, whoever wrote them."""
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
                self._complain(error)
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
            os.replace(temporary, path)
        except BaseException:
            _remove(temporary)
            raise
        self._keep_within_bounds(size)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            log.warning("results cannot be written to the cache in %s: %s; runs go on without", self.folder, error)

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
        """Every result's file; removes what a killed writer has left behind."""
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
    """``entry`` as the parts of a safetensors file, or None if some value must stay in memory."""
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
    """The opposite of :func:`_pack`. Raises ValueError, KeyError, TypeError or AttributeError for
    what it did not make, LookupError if a codec is missing."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("it is cut short")
    header = json.loads(bytes(data[8 : 8 + length]))
    metadata = header.pop("__metadata__")
    if metadata["format"] != _FORMAT:
        raise ValueError(f"it is of format {metadata['format']!r}")
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
