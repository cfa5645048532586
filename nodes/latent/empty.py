"""Makes empty latents."""

from __future__ import annotations

import logging

import torch

from graph.context import warn
from nodes.allocation import check_fits
from nodes.resize import SizeError

log = logging.getLogger(__name__)

CHANNELS = 4
"""Channels of SD1, SD2 and SDXL latents."""

PIXELS = 8
"""Pixels per latent value along each side."""


def empty_samples(width: int, height: int, batch_size: int) -> torch.Tensor:
    """Return zeros [batch_size, 4, height // 8, width // 8], float32.

    Sizes that are not multiples of 8 are rounded down, with a warning.
    Raises SizeError for a side below 8 pixels, TooLargeError.
    """
    columns, rows = width // PIXELS, height // PIXELS
    if columns < 1 or rows < 1:
        raise SizeError(f"{width}×{height} is too small for a latent: each side must be at least {PIXELS} pixels")
    if width % PIXELS or height % PIXELS:
        rounded = f"{columns * PIXELS}×{rows * PIXELS}"
        warn(log, f"{width}×{height} was rounded down to {rounded}: sizes are multiples of {PIXELS}")
    shape = (batch_size, CHANNELS, rows, columns)
    check_fits(f"an empty latent of {width}×{height} pixels, batch size {batch_size},", shape)
    return torch.zeros(shape)
