"""Prepares pictures and masks for inpainting."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from nodes import gaussian
from nodes.batches import repeat_to
from nodes.mask.shape import as_batch
from nodes.resize import resize

_BLURS: Final = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
"""Standard deviations in pixels of the layers, from the lowest to the topmost, and how often each is laid on."""


def blur_mask(mask: Tensor, sigma: float) -> Tensor:
    """Blur a mask [B, H, W] by a Gaussian with a standard deviation in pixels."""
    return gaussian.blur(as_batch(mask).unsqueeze(1), sigma).squeeze(1)


def filled(picture: Tensor, mask: Tensor) -> Tensor:
    """Fill the part of pictures [B, H, W, C] that the mask covers with the colours around it.

    The rest of the picture, without the masked part, is blurred by ever smaller distances, and each blur is laid over
    the last ones. So the middle of the hole gets the colours of a wide area, and its edges those nearby.
    """
    colours = picture.movedim(-1, 1)
    masks = as_batch(mask).unsqueeze(1)
    if masks.shape[-2:] != colours.shape[-2:]:
        masks = resize(masks, colours.shape[-1], colours.shape[-2], "bilinear")
    known = 1.0 - repeat_to(masks, len(colours)).clamp(0.0, 1.0)
    known_colours = torch.cat([colours * known, known], dim=1)  # colours multiplied by their opacity, and the opacity
    laid = torch.zeros_like(known_colours)
    for sigma, times in _BLURS:
        layer = gaussian.box_blur(known_colours, sigma).clamp(0.0, 1.0)
        for _ in range(times):
            laid = layer + laid * (1.0 - layer[:, -1:])
    opacity = laid[:, -1:]
    result = torch.where(opacity > 0, laid[:, :-1] / opacity.clamp(min=1e-8), 0.0).clamp(0.0, 1.0)
    return result.movedim(1, -1).contiguous()


def fit_and_fill(picture: Tensor, width: int, height: int) -> Tensor:
    """Scale a complete picture [B, H, W, C] to fit a size, and continue its edges to the sides that are left."""
    old_height, old_width = picture.shape[1:3]
    scale = min(width / old_width, height / old_height)
    inner_width, inner_height = (
        max(1, min(side, int(old * scale + 1e-6))) for side, old in ((width, old_width), (height, old_height))
    )
    small = resize(picture.movedim(-1, 1), inner_width, inner_height, "lanczos")
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    columns = (torch.arange(width) - left).clamp(0, inner_width - 1)
    rows = (torch.arange(height) - top).clamp(0, inner_height - 1)
    return small[..., rows, :][..., columns].movedim(1, -1).contiguous()
