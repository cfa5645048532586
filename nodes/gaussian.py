"""Blurs and sharpens with a Gaussian. Tensors are [B, C, H, W]."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from nodes.resize import SizeError

STRENGTH = 10.0
"""How many times the blur is subtracted at an ``alpha`` of 1."""


def kernel(radius: int, sigma: float) -> torch.Tensor:
    """Return a Gaussian [2r + 1, 2r + 1] with sum 1. ``sigma`` is relative to the radius (1: one sigma is r)."""
    line = torch.linspace(-1.0, 1.0, 2 * radius + 1)
    weights = torch.exp(-(line[:, None].square() + line.square()) / (2.0 * sigma * sigma))
    return weights / weights.sum()


def kernel_line(sigma: float) -> torch.Tensor:
    """Return a Gaussian [2r + 1] with sum 1, of a standard deviation in pixels; r is 2.5 of them."""
    radius = int(2.5 * sigma + 0.5)
    line = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-line.square() / (2.0 * sigma * sigma))
    return weights / weights.sum()


def blur(samples: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur ``samples`` [B, C, H, W] by a standard deviation in pixels; the edges' values continue outside."""
    if sigma <= 0:
        return samples
    weights = kernel_line(sigma).to(samples)
    radius = len(weights) // 2
    flat = samples.flatten(0, 1).unsqueeze(1)
    across = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), weights.view(1, 1, 1, -1))
    down = F.conv2d(F.pad(across, (0, 0, radius, radius), mode="replicate"), weights.view(1, 1, -1, 1))
    return down.view_as(samples)


def box_blur(samples: torch.Tensor, sigma: float, passes: int = 3) -> torch.Tensor:
    """Approximate :func:`blur` by averages over boxes, whose time does not depend on ``sigma``.

    Boxes of a fractional width (Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by Extended Box
    Filtering", 2011), which Pillow's GaussianBlur uses, too.
    """
    if sigma <= 0:
        return samples
    variance = sigma * sigma / passes
    whole = int((math.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3.0 * variance) / (6.0 * (variance - (whole + 1) ** 2))
    found = samples.double()
    for _ in range(passes):
        found = _box(_box(found, whole, part).transpose(-1, -2), whole, part).transpose(-1, -2)
    return found.to(samples)


def _box(samples: torch.Tensor, whole: int, part: float) -> torch.Tensor:
    """Average rows over ``whole`` pixels on both sides, and the next ones with the weight ``part``."""
    length = samples.shape[-1]
    places = torch.arange(-(whole + 1), length + whole + 1).clamp(0, length - 1)
    padded = samples[..., places]
    sums = F.pad(padded.cumsum(-1), (1, 0))
    inner = sums[..., 2 * whole + 2 : length + 2 * whole + 2] - sums[..., 1 : length + 1]
    edges = padded[..., :length] + padded[..., 2 * whole + 2 : length + 2 * whole + 2]
    return (inner + part * edges) / (2 * whole + 1 + 2.0 * part)


def sharpening_kernel(radius: int, sigma: float, alpha: float) -> torch.Tensor:
    """Return a kernel [2r + 1, 2r + 1] with sum 1: the picture minus ``10·alpha`` times its blur, rescaled."""
    weights = -STRENGTH * alpha * kernel(radius, sigma)
    weights[radius, radius] += 1.0 - weights.sum()
    return weights


def convolve(samples: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Convolve each channel of ``samples`` [B, C, H, W] with ``weights``, mirrored at the edges.

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
