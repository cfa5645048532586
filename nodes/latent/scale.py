"""Scales latents."""

from __future__ import annotations

import torch

from nodes.allocation import check_fits
from nodes.latent.empty import PIXELS
from nodes.resize import resize

SMALLEST = 64
"""Minimum side in pixels of LatentUpscale's result."""


def scale(samples: torch.Tensor, method: str, width: int, height: int, crop: str) -> torch.Tensor:
    """Scale ``samples`` [B, C, H, W] to ``width`` × ``height`` pixels, rounded down to whole latent values.

    One side of 0 follows from the other; two sides of 0 change nothing.
    """
    if width == 0 and height == 0:
        return samples
    rows, columns = samples.shape[-2:]
    if width == 0:
        height = max(SMALLEST, height)
        width = round(columns * height / rows)
    elif height == 0:
        width = max(SMALLEST, width)
        height = round(rows * width / columns)
    width, height = max(SMALLEST, width), max(SMALLEST, height)
    return _checked(samples, width // PIXELS, height // PIXELS, method, crop)


def scale_by(samples: torch.Tensor, method: str, factor: float) -> torch.Tensor:
    """Scale each side of ``samples`` [B, C, H, W] by ``factor``, rounded to whole latent values."""
    rows, columns = samples.shape[-2:]
    return _checked(samples, max(1, round(columns * factor)), max(1, round(rows * factor)), method, "disabled")


def _checked(samples: torch.Tensor, columns: int, rows: int, method: str, crop: str) -> torch.Tensor:
    check_fits(
        f"a latent of {columns * PIXELS}×{rows * PIXELS} pixels, batch size {samples.shape[0]},",
        (*samples.shape[:2], rows, columns),
    )
    return resize(samples, columns, rows, method, crop)
