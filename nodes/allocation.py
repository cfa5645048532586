"""Refusing sizes that no memory holds, before the allocator or the kernel does it less kindly."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path

from graph.errors import SumiError


class TooLargeError(SumiError):
    """A tensor of the size asked for would not fit this machine's memory."""


def check_fits(what: str, shape: Sequence[int], bytes_per_value: int = 4) -> None:
    """Raise TooLargeError, with the gigabytes it would take, if ``shape`` exceeds this machine's memory.

    ``what`` says what is being made, in the words of the person who asked for it.
    """
    needed = math.prod(shape) * bytes_per_value
    limit = memory_limit()
    if needed > limit:
        raise TooLargeError(
            f"{what} would need {needed / 1e9:,.1f} GB of memory; this machine has {limit / 1e9:,.1f} GB. "
            "Choose a smaller width, height or batch size."
        )


@functools.cache
def memory_limit() -> int:
    """Bytes of memory this process can hope for: the machine's, or its container's if that is less."""
    limits = [_FALLBACK]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit_file in (
        Path("/sys/fs/cgroup/memory.max"),
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ):
        try:
            text = limit_file.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


_CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

_FALLBACK = 64 * 2**30
"""Where the system does not say how much memory there is (Windows)."""
