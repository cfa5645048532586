"""Prepares pictures for CLIP's image encoders."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
STD: Final = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of CLIP's training pictures, by channel."""


def normalized(pictures: Tensor, side: int, crop: bool) -> Tensor:
    """Convert pictures [B, H, W, C], 0..1, to [B, 3, side, side] with CLIP's mean and deviation; see :func:`fitted`."""
    return standardized(fitted(pictures, side, crop))


def fitted(pictures: Tensor, side: int, crop: bool) -> Tensor:
    """Convert pictures [B, H, W, C], 0..1, to bytes [B, 3, side, side].

    They are resized (bicubic, antialiased) so that the shorter side fits, and cropped to the centre; without ``crop``
    they are squeezed to a square. Values are rounded to 8 bits, as in picture files.
    """
    x = pictures[..., :3].movedim(-1, 1).float()
    if x.shape[1] == 1:
        x = x.expand(-1, 3, -1, -1)
    height, width = x.shape[-2:]
    if (height, width) != (side, side):
        scale = side / min(height, width)
        size = (round(scale * height), round(scale * width)) if crop else (side, side)
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True)
        top, left = (x.shape[2] - side) // 2, (x.shape[3] - side) // 2
        x = x[:, :, top : top + side, left : left + side]
    return (255.0 * x).clamp(0, 255).round().byte()


def standardized(pictures: Tensor) -> Tensor:
    """Convert bytes [B, 3, side, side] to float32 with CLIP's mean and deviation."""
    x = pictures.float() / 255.0
    mean, std = (torch.tensor(numbers, device=x.device).view(3, 1, 1) for numbers in (MEAN, STD))
    return (x - mean) / std
