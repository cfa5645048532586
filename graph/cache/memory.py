"""The memory tier: results by key; the least recently used are dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from graph.cache.entry import Entry
from graph.cache.tree import SCALARS, measure
from graph.codec import Codec

_ENTRY_BYTES: Final = 600
"""Estimated bytes of an entry's overhead: the object, its key and its place in the table."""


@dataclass(slots=True)
class _Slot:
    entry: Entry
    plain: int
    leaves: dict[int, int] | None


class MemoryCache:
    """Keeps at most ``limit_bytes`` of results or, if ``limit_entries`` is given, that many results.

    A value that several results share (each turn of a loop passes on the picture of the turn before)
    counts once. Thread-safe.
    """

    def __init__(self, codecs: Sequence[Codec], limit_bytes: int, limit_entries: int | None = None):
        self.limit_bytes = limit_bytes
        self.limit_entries = limit_entries
        self.bytes = 0
        self._codecs = codecs
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._holders: dict[int, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def keys(self) -> list[str]:
        """Return the keys, least recently used first."""
        with self._lock:
            return list(self._slots)

    def get(self, key: str) -> Entry | None:
        """Return the result and mark it as the most recently used."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                return None
            self._slots.move_to_end(key)
            return slot.entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep ``entry``, unless it alone exceeds the limit."""
        plain, leaves = self._size(entry)
        with self._lock:
            self._remove(key)
            if self.limit_entries is None and plain + sum(leaves.values() if leaves else ()) > self.limit_bytes:
                return
            self._slots[key] = _Slot(entry, plain, leaves)
            self.bytes += plain
            for leaf, size in (leaves or {}).items():
                holders = self._holders.get(leaf, 0)
                if not holders:
                    self.bytes += size
                self._holders[leaf] = holders + 1
            while self._is_over():
                self._remove(next(iter(self._slots)))

    def remove(self, key: str) -> None:
        with self._lock:
            self._remove(key)

    def clear(self) -> None:
        with self._lock:
            self._slots.clear()
            self._holders.clear()
            self.bytes = 0

    def _is_over(self) -> bool:
        if self.limit_entries is not None:
            return len(self._slots) > self.limit_entries
        return self.bytes > self.limit_bytes

    def _remove(self, key: str) -> None:
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self.bytes -= slot.plain
        for leaf, size in (slot.leaves or {}).items():
            self._holders[leaf] -= 1
            if not self._holders[leaf]:
                del self._holders[leaf]
                self.bytes -= size

    def _size(self, entry: Entry) -> tuple[int, dict[int, int] | None]:
        plain = _ENTRY_BYTES
        leaves: dict[int, int] | None = None
        for elements in entry.outputs:
            for element in elements:
                kind = type(element)
                if kind in SCALARS:
                    plain += len(element) if kind is str else 32
                    continue
                size = measure(element, self._codecs)
                plain += size.plain
                leaves = size.leaves if leaves is None else leaves | size.leaves
        if entry.ui:
            plain += measure(entry.ui, self._codecs).plain
        return plain, leaves
