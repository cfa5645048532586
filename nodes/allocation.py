"""Refusing sizes that no memory holds, before the allocator or the kernel does it less kindly."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graph.errors import SumiError
from graph.machine_memory import memory_limit


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
