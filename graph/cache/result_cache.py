"""Where results are kept between runs: a memory tier over a disk tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph.cache.disk import DiskCache
from graph.cache.entry import Entry
from graph.cache.memory import MemoryCache
from graph.codec import Codec
from graph.folders import Folders
from graph.plan.node_state import NodeState


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How much is kept, and where.

    ``memory_bytes`` bounds the memory tier. ``disk`` is the folder of the disk tier (None for
    none), ``disk_bytes`` its bound, ``disk_after_seconds`` the time that a result must have taken
    to be written there. ``lru`` keeps that many results, in memory only.
    ``enabled=False`` keeps nothing between runs. ``journal`` is where nodes note the files they
    are about to save; by default a folder in ``disk``, even if nothing is cached there.
    """

    memory_bytes: int = 4 * 1024**3
    disk: Path | None = None
    disk_bytes: int = 10 * 1024**3
    disk_after_seconds: float = 0.02
    lru: int | None = None
    enabled: bool = True
    journal: Path | None = None


class ResultCache:
    """Both tiers. Called by the thread that runs the graph, except ``free`` and ``stats``."""

    def __init__(self, settings: CacheSettings, codecs: Sequence[Codec], folders: Folders | None):
        self.enabled = settings.enabled
        self._folders = folders
        self._disk_after_seconds = settings.disk_after_seconds
        self.memory = MemoryCache(codecs, settings.memory_bytes, settings.lru)
        on_disk = settings.enabled and settings.disk is not None and settings.lru is None
        self.disk = DiskCache(settings.disk, settings.disk_bytes, codecs) if on_disk and settings.disk else None

    def has(self, state: NodeState) -> bool:
        """Whether the node's result is known. A record of saved files counts if they are in place."""
        if state.kind.type.output_node:
            state.entry = self.get(state)
            return state.entry is not None
        assert state.key is not None
        entry = self.memory.get(state.key)
        if entry is not None:
            if entry.expanded is not None:
                state.identity, state.storable = entry.expanded
            return self._in_place(entry)
        return self.disk is not None and state.storable and self.disk.has(state.key)

    def get(self, state: NodeState) -> Entry | None:
        """The node's result, if it is known and the files it names are in place."""
        assert state.key is not None
        entry = self.memory.get(state.key)
        if entry is None and self.disk is not None and state.storable:
            entry = self.disk.get(state.key)
            if entry is not None:
                self.memory.put(state.key, entry)
        return entry if self._in_place(entry) else None

    def put(self, state: NodeState, entry: Entry, seconds: float, on_disk: bool = True) -> None:
        """Keep a result that took ``seconds`` to make; ``on_disk=False`` keeps it in memory only."""
        if not self.enabled or state.never_same or state.key is None:
            return
        self.memory.put(state.key, entry)
        if self.disk is None or not on_disk or not state.storable:
            return
        if any(file.folder == "temp" for file in entry.files):
            return
        is_output = state.kind.type.output_node
        if is_output or (seconds >= self._disk_after_seconds and not entry.files):
            self.disk.put(state.key, entry)

    def flush(self) -> None:
        """Wait until everything that was put is on disk."""
        if self.disk is not None:
            self.disk.flush()

    def keys(self) -> set[str]:
        """The keys in both tiers."""
        found = set(self.memory.keys())
        return found | set(self.disk.keys()) if self.disk is not None else found

    def stats(self) -> dict[str, Any]:
        """Counts and bytes, as plain data."""
        stats: dict[str, Any] = {
            "memory_entries": len(self.memory),
            "memory_bytes": self.memory.bytes,
            "memory_limit": self.memory.limit_bytes,
        }
        return stats | (self.disk.stats() if self.disk is not None else {})

    def close(self) -> None:
        if self.disk is not None:
            self.disk.close()

    def _in_place(self, entry: Entry | None) -> bool:
        if entry is None:
            return False
        if not entry.files:
            return True
        folders = self._folders
        return folders is not None and all(file.is_in_place(folders) for file in entry.files)
