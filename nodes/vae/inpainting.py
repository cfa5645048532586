"""What an inpainting latent is made of: the greyed picture, and the mask of what is to be painted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.vae.coding import crop_to_multiple

GREY = 0.5


def prepare(pixels: Tensor, mask: Tensor, grow: int, multiple: int = 8) -> tuple[Tensor, Tensor]:
    """The picture to encode and the noise mask of its latent.

    ``pixels`` [B, H, W, C]; ``mask`` [M, h, w] of any size, 1 where to paint, is resized to the
    picture; both are cropped, centred, to multiples of ``multiple``. Pixels under the rounded mask become
    grey. The noise mask, [M, 1, H, W], is the rounded mask grown by a square of ``grow`` pixels a side.
    """
    mask = F.interpolate(mask.reshape(-1, 1, *mask.shape[-2:]), size=pixels.shape[1:3], mode="bilinear")
    pixels, mask = crop_to_multiple(pixels, multiple), crop_to_multiple(mask[:, 0], multiple).round()
    item = torch.arange(len(pixels)) % len(mask)
    greyed = torch.where(mask[item, :, :, None] > 0.5, GREY, pixels)
    return greyed, _grown(mask[:, None], grow)


def _grown(mask: Tensor, side: int) -> Tensor:
    """The largest value in a square of ``side`` around each pixel; even ones grow a mask further down and right."""
    if side == 0:
        return mask
    height, width = mask.shape[2:]
    # Of zeros and ones, the maximum is the sum with a kernel of ones, clamped to 1.
    return F.max_pool2d(mask, side, stride=1, padding=side // 2)[:, :, :height, :width]
