"""Prepares the picture and the mask for a control network for inpainting."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nodes.resize import resize


class MaskedPicture(NamedTuple):
    """``picture`` [B, H, W, C] is black in the area to repaint; ``keep`` [B, 1, H, W] is 0 there and 1 elsewhere."""

    picture: Tensor
    keep: Tensor


def masked_picture(image: Tensor, mask: Tensor) -> MaskedPicture:
    """Blacken the picture [B, H, W, C] under ``mask`` [M, h, w] of any size, which is 1 in the area to repaint."""
    keep = 1.0 - mask.reshape(-1, 1, *mask.shape[-2:])
    keep = resize(keep, image.shape[2], image.shape[1], "bilinear", "center").round()
    return MaskedPicture(image * keep.movedim(1, -1), keep)
