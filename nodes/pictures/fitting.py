"""Fits pictures to each other, in size and channels. IMAGE tensors are [B, H, W, C]."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nodes.allocation import check_fits
from nodes.resize import resize


def scale(images: torch.Tensor, width: int, height: int, method: str, crop: str = "disabled") -> torch.Tensor:
    """Scale ``images`` [B, H, W, C] to [B, height, width, C]. Raises SizeError and TooLargeError."""
    what = f"a picture of {width}×{height} pixels, batch size {images.shape[0]},"
    check_fits(what, (images.shape[0], height, width, images.shape[-1]))
    return resize(images.movedim(-1, 1), width, height, method, crop).movedim(1, -1).contiguous()


def with_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Return the pictures with ``channels`` channels: drop surplus ones, or add an opaque alpha."""
    have = images.shape[-1]
    return images[..., :channels] if have >= channels else F.pad(images, (0, channels - have), value=1.0)
