"""Blurring and sharpening with a Gaussian. Tensors are [B, C, H, W]."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nodes.resize import SizeError

STRENGTH = 10.0
"""How much of the blur an ``alpha`` of 1 takes away."""


def kernel(radius: int, sigma: float) -> torch.Tensor:
    """[2r + 1, 2r + 1], sum 1. ``sigma`` is in units of the radius: at 1 the edge is one deviation out."""
    line = torch.linspace(-1.0, 1.0, 2 * radius + 1)
    weights = torch.exp(-(line[:, None].square() + line.square()) / (2.0 * sigma * sigma))
    return weights / weights.sum()


def sharpening_kernel(radius: int, sigma: float, alpha: float) -> torch.Tensor:
    """[2r + 1, 2r + 1], sum 1: the picture less ``10·alpha`` times its blur, brought back to its brightness."""
    weights = -STRENGTH * alpha * kernel(radius, sigma)
    weights[radius, radius] += 1.0 - weights.sum()
    return weights


def convolve(samples: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Each channel of ``samples`` [B, C, H, W] convolved with ``weights``, mirrored at the edges.

    Raises SizeError if the radius is not smaller than the shorter side.
    """
    radius = weights.shape[-1] // 2
    if radius >= min(samples.shape[-2:]):
        raise SizeError(
            f"a radius of {radius} is too large for {samples.shape[-1]}×{samples.shape[-2]} values: "
            f"it must be less than {min(samples.shape[-2:])}"
        )
    channels = samples.shape[1]
    padded = F.pad(samples, (radius,) * 4, mode="reflect")
    return F.conv2d(padded, weights.to(samples).expand(channels, 1, *weights.shape), groups=channels)
