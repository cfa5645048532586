"""How much memory is free for this process now. What it may have at all: :mod:`nodes.allocation`."""

from __future__ import annotations

from pathlib import Path

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_CGROUP_USAGE = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
_CGROUP_STATISTICS = (Path("/sys/fs/cgroup/memory.stat"), Path("/sys/fs/cgroup/memory/memory.stat"))


def available_memory() -> int | None:
    """Bytes that can be allocated now without swapping or being killed; None where that is not known."""
    free = _fields(Path("/proc/meminfo")).get("MemAvailable:")
    if free is None:
        return None
    available = free * 1024
    for limit, usage, statistics in zip(
        _numbers(_CGROUP_LIMITS), _numbers(_CGROUP_USAGE), _CGROUP_STATISTICS, strict=False
    ):
        available = min(available, limit - usage + _fields(statistics).get("inactive_file", 0))
    return available


def _numbers(files: tuple[Path, ...]) -> list[int]:
    """What those of ``files`` hold that hold a number: a limit may also be the word ``max``."""
    return [int(text) for file in files if (text := _text(file).strip()).isdigit()]


def _fields(file: Path) -> dict[str, int]:
    rows = (line.split() for line in _text(file).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdigit()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
