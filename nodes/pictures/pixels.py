"""IMAGE tensors and Pillow pictures, one into the other."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch

from graph.errors import SumiError

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class PixelError(SumiError):
    """A tensor that is no picture: NaN values, or a number of channels no file holds."""


def to_bytes(image: torch.Tensor) -> np.ndarray:
    """[..., C] floats → uint8: ``clip(255·x, 0, 255)``, truncated, as ComfyUI writes pictures.

    Raises PixelError if a value is NaN.
    """
    values = image.detach().to(device="cpu", dtype=torch.float32).numpy()
    if np.isnan(values).any():
        raise PixelError(
            "the picture contains NaN (not a number): a model upstream overflowed or its weights are bad. "
            "Try --precision fp32, or another checkpoint or VAE."
        )
    return np.clip(255.0 * values, 0, 255).astype(np.uint8)


def to_pillow(image: torch.Tensor) -> PIL.Image.Image:
    """One picture [H, W, C], 0..1 → Pillow: C 1 is L, 3 RGB, 4 RGBA. Raises PixelError."""
    channels = image.shape[-1]
    if image.ndim != 3 or channels not in _MODES:
        raise PixelError(f"a picture to be written is [height, width, 1, 3 or 4 channels], not {list(image.shape)}")
    values = to_bytes(image)
    return PIL.Image.fromarray(values[..., 0] if channels == 1 else values, _MODES[channels])


def from_pillow(picture: PIL.Image.Image) -> torch.Tensor:
    """A Pillow picture of 8-bit channels → [H, W, C] float32, 0..1."""
    values = torch.from_numpy(np.array(picture, dtype=np.uint8)).to(torch.float32) / 255.0
    return values if values.ndim == 3 else values.unsqueeze(-1)
