"""``comfy_extras.nodes_mask``: pasting tensors, and the mask nodes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nodes import composite as pasting


def composite(
    destination: Tensor,
    source: Tensor,
    x: int,
    y: int,
    mask: Tensor | None = None,
    multiplier: int = 8,
    resize_source: bool = False,
    **_: Any,
) -> Tensor:
    """Paste ``source`` on ``destination`` [B, C, H, W] at ``x``, ``y``, which are divided by ``multiplier``."""
    x = max(-source.shape[3] * multiplier, min(x, destination.shape[3] * multiplier)) // multiplier
    y = max(-source.shape[2] * multiplier, min(y, destination.shape[2] * multiplier)) // multiplier
    if x < 0 or y < 0:
        if resize_source or mask is not None:
            raise ValueError(f"x {x} and y {y} lie outside the picture; expected 0 or more")
        source, x, y = source[..., max(0, -y) :, max(0, -x) :], max(0, x), max(0, y)
    return pasting.composite(destination, source, x, y, mask, resize_source)
