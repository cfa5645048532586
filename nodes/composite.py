"""Pastes one [B, C, H, W] tensor onto another; for latents and pictures."""

from __future__ import annotations

import torch

from nodes.batches import repeat_to
from nodes.resize import resize


def composite(
    destination: torch.Tensor,
    source: torch.Tensor,
    x: int,
    y: int,
    mask: torch.Tensor | None = None,
    resize_source: bool = False,
) -> torch.Tensor:
    """Return ``destination`` [B, C, H, W] with ``source`` [b, C, h, w] pasted at column ``x``, row ``y``.

    ``mask`` [b, mh, mw] (or [b, 1, mh, mw]), 1 where the source is visible, is resized to the source.
    Batches are repeated to B; parts outside the destination are cut off.
    """
    height, width = destination.shape[-2:]
    source = source.to(destination)
    if resize_source:
        source = resize(source, width, height, "bilinear")
    source = repeat_to(source, destination.shape[0])
    visible = source[..., : max(height - y, 0), : max(width - x, 0)]
    rows, columns = slice(y, y + visible.shape[-2]), slice(x, x + visible.shape[-1])
    result = destination.clone()
    if mask is None:
        result[..., rows, columns] = visible
        return result
    weight = mask.to(destination).reshape(-1, 1, *mask.shape[-2:])
    weight = repeat_to(resize(weight, source.shape[-1], source.shape[-2], "bilinear"), source.shape[0])
    weight = weight[..., : visible.shape[-2], : visible.shape[-1]]
    result[..., rows, columns] = weight * visible + (1.0 - weight) * destination[..., rows, columns]
    return result
