"""Batches of different lengths, side by side."""

from __future__ import annotations

import torch


def repeat_to(values: torch.Tensor, size: int, dim: int = 0) -> torch.Tensor:
    """``values`` with ``size`` items along ``dim``: cut if longer, repeated from the first on if shorter."""
    count = values.shape[dim]
    if count >= size:
        return values.narrow(dim, 0, size)
    repeats = [1] * values.ndim
    repeats[dim] = -(-size // count)
    return values.repeat(repeats).narrow(dim, 0, size)
