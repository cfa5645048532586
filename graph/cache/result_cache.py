"""The cache of results between runs: a memory tier in front of a disk tier in front of a store that machines share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graph.cache.disk import DiskCache
from graph.cache.entry import Entry
from graph.cache.memory import MemoryCache
from graph.codec import Codec
from graph.folders import Folders

if TYPE_CHECKING:
    from graph.cache.shared import SharedCache


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The sizes and places of the cache.

    ``memory_bytes`` limits the memory tier. ``disk`` is the folder of the disk tier (None: no disk tier),
    ``disk_bytes`` its limit. Results that took less than ``disk_after_seconds`` are not written there.
    ``lru`` keeps that many results, in memory only. ``enabled=False`` keeps no result between runs.
    ``shared`` is the URL of results that machines share (None: not shared); :mod:`graph.cache.shared`.
    ``journal`` is the folder where nodes note the files they are about to save; by default a folder in ``disk``,
    even if no result is cached there.
    """

    memory_bytes: int = 4 * 1024**3
    disk: Path | None = None
    disk_bytes: int = 10 * 1024**3
    disk_after_seconds: float = 0.02
    lru: int | None = None
    enabled: bool = True
    shared: str | None = None
    journal: Path | None = None


ON_DISK: Final = Entry(())
"""Marks a result that is on disk and has not been read."""


class ResultCache:
    """All tiers. Called by the thread that runs the graph, except ``free`` and ``stats``."""

    def __init__(self, settings: CacheSettings, codecs: Sequence[Codec], folders: Folders | None):
        self.enabled = settings.enabled
        self._folders = folders
        self._disk_after_seconds = settings.disk_after_seconds
        self.memory = MemoryCache(codecs, settings.memory_bytes, settings.lru)
        on_disk = settings.enabled and settings.disk is not None and settings.lru is None
        self.disk = DiskCache(settings.disk, settings.disk_bytes, codecs) if on_disk and settings.disk else None
        self.shared: SharedCache | None = None
        if settings.enabled and settings.shared is not None:
            from graph.cache.shared import SharedCache

            self.shared = SharedCache(settings.shared, codecs)

    def touch(self, key: str, storable: bool, shareable: bool = False) -> Entry | None:
        """Mark a result in memory as just used and return it. Returns ON_DISK if it is only on disk or shared.

        Returns None if the result is unknown or a file that it names is not in place. ``storable``: the key means the
        same in other processes, so the disk tier may have the result. ``shareable``: so may the shared tier; a look-up
        there takes longer.
        """
        entry = self.memory.get(key)
        if entry is not None:
            return entry if not entry.files or self._in_place(entry) else None
        if storable and self.disk is not None and self.disk.has(key):
            return ON_DISK
        return ON_DISK if storable and shareable and self.shared is not None and self.shared.has(key) else None

    def get(self, key: str, storable: bool, shareable: bool = False) -> Entry | None:
        """Return the result, or None if it is unknown or a file it names is not in place.

        A result read from disk is kept in memory, too, and a shared one also on disk. ``storable`` and ``shareable``
        have the same meaning as in :meth:`touch`.
        """
        entry = self.memory.get(key)
        if entry is None and self.disk is not None and storable:
            entry = self.disk.get(key)
            if entry is not None:
                self.memory.put(key, entry)
        if entry is None and self.shared is not None and storable and shareable:
            entry = self.shared.get(key)
            if entry is not None:
                self.memory.put(key, entry)
                if self.disk is not None:
                    self.disk.put(key, entry)
        return entry if self._in_place(entry) else None

    def put(
        self, key: str, entry: Entry, seconds: float, storable: bool, is_output: bool, shareable: bool = False
    ) -> None:
        """Keep a result that took ``seconds`` to make.

        ``storable``: the result may be written to disk. ``is_output``: it belongs to an output node and is written
        even if it was quick to make.
        """
        if not self.enabled:
            return
        self.memory.put(key, entry)
        if not storable:
            return
        if shareable and self.shared is not None and seconds >= self._disk_after_seconds and not entry.files:
            self.shared.put(key, entry)
        if self.disk is None or any(file.folder == "temp" for file in entry.files):
            return
        if is_output or (seconds >= self._disk_after_seconds and not entry.files):
            self.disk.put(key, entry)

    def rename(self, former: str, key: str) -> None:
        """Move the result stored under ``former`` to ``key``, unless ``key`` already has one.

        Results of nodes that expanded stay where they are.
        """
        entry = self.memory.get(former)
        if entry is not None and entry.expanded is None and self.memory.get(key) is None:
            self.memory.put(key, entry)
        if self.disk is not None:
            self.disk.rename(former, key)
        if self.shared is not None:
            self.shared.rename(former, key)

    def flush(self) -> None:
        """Wait until every queued result is on disk."""
        if self.disk is not None:
            self.disk.flush()

    def keys(self) -> set[str]:
        """Return the keys of both tiers."""
        found = set(self.memory.keys())
        return found | set(self.disk.keys()) if self.disk is not None else found

    def stats(self) -> dict[str, Any]:
        """Return counts and bytes, as plain data."""
        stats: dict[str, Any] = {
            "memory_entries": len(self.memory),
            "memory_bytes": self.memory.bytes,
            "memory_limit": self.memory.limit_bytes,
        }
        for tier in (self.disk, self.shared):
            stats |= tier.stats() if tier is not None else {}
        return stats

    def close(self) -> None:
        for tier in (self.disk, self.shared):
            if tier is not None:
                tier.close()

    def _in_place(self, entry: Entry | None) -> bool:
        if entry is None:
            return False
        if not entry.files:
            return True
        folders = self._folders
        return folders is not None and all(file.is_in_place(folders) for file in entry.files)
