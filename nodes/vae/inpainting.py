"""Prepares an inpainting latent: the picture with grey under the mask, and the noise mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.vae.coding import crop_to_multiple

GREY = 0.5


def prepare(pixels: Tensor, mask: Tensor, grow: int, multiple: int = 8) -> tuple[Tensor, Tensor]:
    """Return the picture to encode and the noise mask of its latent.

    ``pixels`` [B, H, W, C]; ``mask`` [M, h, w] of any size, 1 where to paint, is resized to the
    picture; both are cropped around the centre to multiples of ``multiple``. Pixels under the rounded mask become
    grey. The noise mask, [M, 1, H, W], is the rounded mask grown by a square of ``grow`` pixels a side.
    """
    pixels, mask = cropped(pixels, mask, multiple)
    return greyed(pixels, mask), _grown(mask.round(), grow)


def cropped(pixels: Tensor, mask: Tensor, multiple: int = 8) -> tuple[Tensor, Tensor]:
    """``pixels`` [B, H, W, C] and ``mask`` [M, 1, H, W], resized to it from any size, cropped to multiples."""
    mask = F.interpolate(mask.reshape(-1, 1, *mask.shape[-2:]), size=pixels.shape[1:3], mode="bilinear")
    return crop_to_multiple(pixels, multiple), crop_to_multiple(mask[:, 0], multiple)[:, None].contiguous()


def greyed(pixels: Tensor, mask: Tensor) -> Tensor:
    """``pixels`` [B, H, W, C], grey where ``mask`` [M, 1, H, W] is above a half."""
    item = torch.arange(len(pixels)) % len(mask)
    return torch.where(mask.round()[item, 0, :, :, None] > 0.5, GREY, pixels)


def _grown(mask: Tensor, side: int) -> Tensor:
    """Return the largest value in a square of ``side`` around each pixel; an even side grows more down and right."""
    if side == 0:
        return mask.contiguous()
    height, width = mask.shape[2:]
    # For zeros and ones, the maximum is the convolution with ones, clamped to 1.
    return F.max_pool2d(mask, side, stride=1, padding=side // 2)[:, :, :height, :width].contiguous()
