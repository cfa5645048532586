"""Slices of latents along one axis."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from nodes.batches import repeat_to
from nodes.latent.empty import PIXELS
from nodes.resize import resize
from nodes.types import LatentDict

Axis = Literal["t", "x", "y"]


def cut_to_batch(latent: LatentDict, dim: Axis, size: int) -> LatentDict:
    """The slices of ``latent`` [B, C, (T,) H, W] of that size along ``dim``, joined as a batch.

    The slices of the first item come first. A size above the side is reduced to the side; an incomplete last slice is
    dropped. The noise mask is cut in the same places, and ``batch_index``, which numbers the old items, is dropped. A
    latent without a time axis is returned unchanged for "t".
    """
    samples = latent["samples"]
    if dim == "t" and samples.ndim < 5:
        return latent
    side = samples.shape[_AXES[dim]]
    size = min(size, side)
    cut: LatentDict = {**latent, "samples": _slices(samples, dim, size, side // size)}
    cut.pop("batch_index", None)
    mask = latent.get("noise_mask")
    if mask is not None:
        cut["noise_mask"] = _mask_slices(mask, samples, dim, size, side // size)
    return cut


_AXES = {"t": -3, "y": -2, "x": -1}


def _slices(values: Tensor, dim: Axis, size: int, count: int) -> Tensor:
    axis = values.ndim + _AXES[dim]
    slices = values.narrow(axis, 0, count * size).unflatten(axis, (count, size)).movedim(axis, 1)
    return slices.flatten(0, 1).contiguous()


def _mask_slices(mask: Tensor, samples: Tensor, dim: Axis, size: int, count: int) -> Tensor:
    """``mask`` of any size, one for all items or one for each, cut as ``samples`` are: [B · count, 1, (T,) h, w]."""
    if mask.ndim < 5:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    mask = repeat_to(mask, samples.shape[0])
    if dim == "t":
        return _slices(mask, dim, size, count) if mask.ndim == 5 else mask.repeat_interleave(count, dim=0)
    rows, columns = samples.shape[-2:]
    if mask.shape[-2] % rows or mask.shape[-1] % columns:
        mask = resize(mask.flatten(0, -4), columns * PIXELS, rows * PIXELS, "bilinear").unflatten(0, mask.shape[:-3])
    return _slices(mask, dim, size * (mask.shape[_AXES[dim]] // samples.shape[_AXES[dim]]), count)
