"""Brings batches to the same length."""

from __future__ import annotations

import torch


def repeat_to(values: torch.Tensor, size: int, dim: int = 0) -> torch.Tensor:
    """Return ``values`` with ``size`` items along ``dim``: cut if longer, repeated from the first item if shorter."""
    count = values.shape[dim]
    if count >= size:
        return values.narrow(dim, 0, size)
    repeats = [1] * values.ndim
    repeats[dim] = -(-size // count)
    return values.repeat(repeats).narrow(dim, 0, size)


def spread_to(values: torch.Tensor, size: int) -> torch.Tensor:
    """``values`` [b, …] with ``size`` items, evenly: each is repeated in place, or some are left out."""
    count = values.shape[0]
    if count == size:
        return values
    if size == 1 or count == 1:
        return values[:1].expand(size, *values.shape[1:])
    if size < count:
        chosen = [min(round(i * (count - 1) / (size - 1)), count - 1) for i in range(size)]
    else:
        chosen = [min(int((i + 0.5) * count / size), count - 1) for i in range(size)]
    return values[chosen]
