"""Tunes the C heap so that freed activations are reused by the next operator.

glibc returns large freed blocks to the system at once, and the next tensor of the same size
gets new pages, each of which is faulted in and cleared. A U-Net on a CPU does that about 130,000 times
a step; a matrix product that writes 10 MB spends up to half of its time on it.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

LARGEST_KEPT: Final = 32 << 20
"""Bytes above which blocks are still mapped and unmapped one by one: glibc allows no higher threshold."""
KEPT: Final = 1 << 30
"""Free bytes to keep at the end of the heap."""


def keep_freed_memory() -> None:
    """Tell the C library to keep freed memory for reuse. Call it once, before other threads start. Only for glibc.

    All threads share one arena: separate arenas consist of pieces that are returned as soon as they are empty.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT)


def give_back_freed_memory() -> None:
    """Return free memory to the system now, after models were unloaded."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def freed(size: int) -> None:
    """Count ``size`` bytes that were freed, and return free memory to the system now and then.

    Blocks that are replaced one by one by slightly larger ones otherwise leave gaps that nothing fills.
    """
    global _freed
    _freed += size
    if _freed >= _RETURNED_AT:
        _freed = 0
        give_back_freed_memory()


_RETURNED_AT: Final = 128 << 20
_freed = 0


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
