"""Shows a latent's channels as they are: a square of colours, blue for negative numbers and red for positive ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nodes.drawing.colours import signed


def channel_mosaic(latent: Tensor, limit: float) -> Tensor:
    """Colour the channels of ``latent`` [C, h, w] and lay them out in rows, as square as possible.

    ``limit`` is the absolute value of the strongest colour. Returns [H, W, 3], 0..1, with white lines between channels.
    """
    count, height, width = latent.shape
    across = math.ceil(math.sqrt(count))
    rows = math.ceil(count / across)
    gap = max(1, width // 24)
    mosaic = torch.ones(rows * (height + gap) - gap, across * (width + gap) - gap, 3)
    for number, channel in enumerate(latent):
        top, left = number // across * (height + gap), number % across * (width + gap)
        mosaic[top : top + height, left : left + width] = signed(channel, limit)
    return mosaic
