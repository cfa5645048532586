"""Refuses sizes that do not fit in memory, before the allocator fails or the system kills the process."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graph.errors import SumiError
from graph.machine_memory import memory_limit


class TooLargeError(SumiError):
    """A tensor of the requested size does not fit in this machine's memory."""


def check_fits(what: str, shape: Sequence[int], bytes_per_value: int = 4) -> None:
    """Raise TooLargeError, with the gigabytes needed, if a tensor of ``shape`` exceeds this machine's memory.

    ``what`` names the tensor for the error message, in the user's terms.
    """
    needed = math.prod(shape) * bytes_per_value
    limit = memory_limit()
    if needed > limit:
        raise TooLargeError(
            f"{what} would need {needed / 1e9:,.1f} GB of memory; this machine has {limit / 1e9:,.1f} GB. "
            "Choose a smaller width, height or batch size."
        )
