"""``comfy_extras.nodes_hypertile``: sizes of tiles."""

from __future__ import annotations

import torch


def random_divisor(value: int, min_value: int, /, max_options: int = 1) -> int:
    """One of the ``max_options`` smallest divisors of ``value`` that are at least ``min_value``, chosen at random."""
    least = min(min_value, value)
    divisors = [number for number in range(least, value + 1) if value % number == 0]
    return divisors[int(torch.randint(0, min(max_options, len(divisors)), ()))]
