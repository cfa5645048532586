"""Converts IMAGE tensors to Pillow pictures and back."""

from __future__ import annotations

import logging

import numpy as np
import PIL.Image
import torch

from graph.context import warn
from graph.errors import SumiError

log = logging.getLogger(__name__)

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class PixelError(SumiError):
    """A tensor cannot be written as a picture: its number of dimensions, channels or pixels does not fit the format."""


def to_bytes(image: torch.Tensor) -> np.ndarray:
    """Convert floats to uint8: ``clip(255·x, 0, 255)``, truncated, as in ComfyUI.

    NaN becomes 0, with a warning.
    """
    values = image.detach().to(device="cpu", dtype=torch.float32).numpy()
    bad = np.isnan(values)
    if bad.any():
        warn(
            log,
            f"{bad.sum():,} of the picture's {bad.size:,} values are NaN (not a number) and were written as 0. A model "
            "overflowed or its weights are damaged: try --precision fp32, or another checkpoint or VAE.",
        )
        values = np.where(bad, np.float32(0), values)
    return np.clip(255.0 * values, 0, 255).astype(np.uint8)


def to_pillow(image: torch.Tensor) -> PIL.Image.Image:
    """Convert one picture, 0..1, to Pillow: [H, W] and [H, W, 1] to L, [H, W, 3] to RGB, [H, W, 4] to RGBA.

    Raises PixelError."""
    if image.ndim == 2:
        image = image.unsqueeze(-1)
    if image.ndim != 3 or image.shape[-1] not in _MODES:
        raise PixelError(
            f"a tensor of shape {list(image.shape)} cannot be written as a picture; expected [height, width] or "
            "[height, width, 1, 3 or 4 channels]"
        )
    values = to_bytes(image)
    channels = image.shape[-1]
    return PIL.Image.fromarray(values[..., 0] if channels == 1 else values, _MODES[channels])


def from_pillow(picture: PIL.Image.Image) -> torch.Tensor:
    """Convert a Pillow picture with 8-bit channels to [H, W, C] float32, 0..1."""
    values = torch.from_numpy(np.array(picture, dtype=np.uint8)).to(torch.float32) / 255.0
    return values if values.ndim == 3 else values.unsqueeze(-1)
