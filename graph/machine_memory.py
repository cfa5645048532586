"""Memory of the machine, its container's limits included, and of this process. Standard library only.

A Linux control group (cgroup, version 1 or 2) can limit a process to less memory than the machine has. Every level
between the process's own group and the root may set a limit; the lowest one applies.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ASSUMED_LIMIT = 64 * 2**30
"""Bytes that :func:`memory_limit` returns where the system does not report its memory (Windows)."""

_ROOT = Path("/")


@functools.cache
def memory_limit(root: Path = _ROOT) -> int:
    """Return how many bytes this process may use: the machine's RAM, or its container's limit if that is lower.

    ``root``: where ``proc`` and ``sys`` are mounted. The value is read once.
    """
    machine = _meminfo(root).get("MemTotal") or _sysconf_bytes("SC_PHYS_PAGES") or ASSUMED_LIMIT
    return min([machine, *(group.limit for group in _groups(root))])


def available_memory(root: Path = _ROOT) -> int | None:
    """Return how many bytes this process can allocate now without swapping or being killed.

    Page cache that the system can drop counts as available. None where the system does not report it (macOS, Windows).
    """
    meminfo = _meminfo(root)
    machine = meminfo.get("MemAvailable", meminfo.get("MemFree")) or _sysconf_bytes("SC_AVPHYS_PAGES")
    if machine is None:
        return None
    return max(0, min([machine, *(group.available for group in _groups(root))]))


def resident_memory() -> int:
    """Return how many bytes of RAM this process occupies: its peak on macOS, 0 on Windows."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE")


def out_of_memory_kills(root: Path = _ROOT) -> int | None:
    """Return how many processes the system has killed for lack of memory since it started; None if it does not count.

    Kills inside containers are included.
    """
    return _numbers(_text(root / "proc/vmstat")).get("oom_kill")


@dataclass(frozen=True, slots=True)
class _Group:
    """The limit of one cgroup, its usage, and the file cache in it that can be dropped, in bytes."""

    limit: int
    usage: int
    droppable: int

    @property
    def available(self) -> int:
        return self.limit - self.usage + self.droppable


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where one version of cgroups is mounted, and its file names."""

    mount: str
    limit: str
    usage: str
    droppable: str


_VERSION_1 = _Layout(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", droppable="total_inactive_file"
)
_VERSION_2 = _Layout("sys/fs/cgroup", "memory.max", "memory.current", droppable="inactive_file")


def _groups(root: Path) -> Iterator[_Group]:
    """The groups with a memory limit, from this process's own up to the root.

    A container may see only a part of the hierarchy, mounted as if it were the root: groups that are not there are
    skipped.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        layout = _VERSION_1 if controllers else _VERSION_2
        path = PurePosixPath(own.lstrip("/"))
        for folder in (root / layout.mount / part for part in (path, *path.parents)):
            limit, usage = _text(folder / layout.limit).strip(), _text(folder / layout.usage).strip()
            if limit.isdigit() and usage.isdigit():  # an unlimited group of version 2 says "max"
                statistics = _numbers(_text(folder / "memory.stat"))
                yield _Group(int(limit), int(usage), statistics.get(layout.droppable, 0))


def _meminfo(root: Path) -> dict[str, int]:
    """Return the values of /proc/meminfo in bytes, by name."""
    return {name.rstrip(":"): size * 1024 for name, size in _numbers(_text(root / "proc/meminfo")).items()}


def _numbers(text: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdigit()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _sysconf_bytes(pages: str) -> int | None:
    try:
        count = os.sysconf(pages)
    except (AttributeError, OSError, ValueError):  # Windows; a name that this system lacks
        return None
    return count * os.sysconf("SC_PAGE_SIZE") if count > 0 else None


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
