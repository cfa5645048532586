"""The machine's memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def free_and_total() -> tuple[int, int]:
    """Bytes of RAM that programs can still get, and all there is; 0 where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return sizes.get("MemAvailable", sizes.get("MemFree", 0)), sizes.get("MemTotal", 0)
    return _pages("SC_AVPHYS_PAGES"), _pages("SC_PHYS_PAGES")


def _pages(name: str) -> int:
    try:
        return max(0, os.sysconf(name)) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
