"""The C heap of a process that computes: freed activations stay for the next kernel.

glibc gives large freed blocks back to the kernel at once, and the next tensor of the same size
gets fresh pages, each faulted in and cleared. A U-Net on a CPU does that some 130,000 times
a step; a matrix product that writes 10 MB spends up to half of its time there.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

LARGEST_KEPT: Final = 32 << 20
"""Blocks above this many bytes are mapped and unmapped one by one all the same: glibc takes no more."""
KEPT: Final = 1 << 30
"""Free bytes at the end of the heap that are kept."""


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory for reuse. Once, before other threads start; nothing outside glibc.

    One arena for all threads: an arena of a thread's own is made of pieces that go back when they fall empty.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT)


def give_back_freed_memory() -> None:
    """Return what is free to the system now: after models have left."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
