"""Batches of different lengths, side by side."""

from __future__ import annotations

import torch


def repeat_to(values: torch.Tensor, size: int) -> torch.Tensor:
    """``values`` [b, ...] → [size, ...]: cut if longer, repeated from the first on if shorter."""
    if values.shape[0] >= size:
        return values[:size]
    return values[torch.arange(size, device=values.device) % values.shape[0]]
