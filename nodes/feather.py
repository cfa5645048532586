"""Weights that fade towards the ends of a side, to feather pasted pictures, masks and tiles."""

from __future__ import annotations

import torch


def ramp(length: int, feather: int, at_start: bool, at_end: bool) -> torch.Tensor:
    """Return [length] weights that rise as 1/feather, 2/feather … 1 from the start, the end, or both."""
    rising = ((torch.arange(length) + 1.0) / max(feather, 1)).clamp(max=1.0)
    weights = torch.ones(length)
    if at_start:
        weights = weights * rising
    if at_end:
        weights = weights * rising.flip(0)
    return weights
