"""Blank latents."""

from __future__ import annotations

import torch

from nodes.allocation import check_fits
from nodes.resize import SizeError

CHANNELS = 4
"""Channels of SD1, SD2 and SDXL latents."""

PIXELS = 8
"""Pixels a side that one latent value stands for."""


def empty_samples(width: int, height: int, batch_size: int) -> torch.Tensor:
    """Zeros [batch_size, 4, height / 8, width / 8], float32. Raises SizeError, TooLargeError."""
    if width % PIXELS or height % PIXELS:
        below = f"{width // PIXELS * PIXELS}×{height // PIXELS * PIXELS}"
        above = f"{-(-width // PIXELS) * PIXELS}×{-(-height // PIXELS) * PIXELS}"
        raise SizeError(f"{width}×{height} is no size; a latent has multiples of {PIXELS}: use {below} or {above}")
    shape = (batch_size, CHANNELS, height // PIXELS, width // PIXELS)
    check_fits(f"an empty latent of {width}×{height} pixels, batch size {batch_size},", shape)
    return torch.zeros(shape)
