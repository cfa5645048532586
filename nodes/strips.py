"""Feature maps that are computed strip by strip, as a convolution needs them.

At a picture's full resolution, each map of a VAE takes 64 to 256 MB. Where normalisation, activation and doubling are
computed for the rows that the next convolution reads now, only its input and its output are whole in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_WHOLE: Final = 32 << 20
"""Bytes of a map up to which strips are not worth their overhead."""
STRIP_BYTES: Final = 8 << 20
_MULTIPLE: Final = 8
"""Strips begin at multiples of this, so that Winograd's tiles are complete."""


class Rows(Protocol):
    """A map [B, C, h, w] of which any rows can be computed."""

    shape: torch.Size
    dtype: torch.dtype

    def rows(self, first: int, end: int) -> Tensor:
        """Return the rows from ``first`` up to ``end``: [B, C, end - first, w]."""


Map = Tensor | Rows


class Part:
    """The rows of a tensor [B, C, h, w]; nothing is computed."""

    def __init__(self, x: Tensor):
        self.shape, self.dtype, self._x = x.shape, x.dtype, x

    def rows(self, first: int, end: int) -> Tensor:
        return self._x[:, :, first:end]


class Doubled:
    """``x`` with each position repeated to 2x2 positions."""

    def __init__(self, x: Tensor):
        batch, channels, height, width = x.shape
        self.shape, self.dtype, self._x = torch.Size((batch, channels, 2 * height, 2 * width)), x.dtype, x

    def rows(self, first: int, end: int) -> Tensor:
        doubled = F.interpolate(self._x[:, :, first // 2 : (end + 1) // 2], scale_factor=2.0, mode="nearest")
        return doubled[:, :, first % 2 : first % 2 + end - first]


class Activated:
    """SiLU of the group normalisation of ``x``. The statistics are computed at once, strip by strip, in float32."""

    def __init__(self, x: Tensor, norm: nn.GroupNorm):
        self.shape, self.dtype, self._x = x.shape, x.dtype, x
        weight, bias = norm.weight.float(), norm.bias.float()
        mean, inverse = _statistics(x, weight, bias, norm.num_groups, norm.eps)
        scale = weight * inverse.repeat_interleave(x.shape[1] // norm.num_groups, 1)
        shift = bias - scale * mean.repeat_interleave(x.shape[1] // norm.num_groups, 1)
        self._of_each = list(zip(scale, shift, strict=True))
        self._zero, self._one = torch.zeros_like(bias), torch.ones_like(bias)

    def rows(self, first: int, end: int) -> Tensor:
        # Batch normalisation with given statistics computes scale and shift of each channel in one pass, in float32.
        parts = [
            F.batch_norm(one[None, :, first:end], self._zero, self._one, scale, shift, eps=0.0)
            for one, (scale, shift) in zip(self._x, self._of_each, strict=True)
        ]
        return F.silu(parts[0] if len(parts) == 1 else torch.cat(parts), inplace=True)


def is_large(x: Tensor, scale: int = 1) -> bool:
    """Whether to compute a map with ``scale`` times the sides of ``x`` in strips: large, on a CPU, no gradients."""
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    return x.numel() * x.element_size() * scale**2 > LARGEST_WHOLE


def strips(shape: torch.Size, itemsize: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each strip of a map [B, C, h, w], and the row after its last."""
    batch, channels, height, width = shape
    rows = max(1, STRIP_BYTES // (batch * channels * width * itemsize * _MULTIPLE)) * _MULTIPLE
    return pairwise([*range(0, height, rows), height])


def with_neighbours(x: Rows, first: int, end: int) -> Tensor:
    """Return rows ``first - 1`` up to ``end + 1``; those outside the map are zero."""
    height = x.shape[2]
    found = x.rows(max(0, first - 1), min(height, end + 1))
    above, below = int(first == 0), int(end == height)
    return F.pad(found, (0, 0, above, below)) if above or below else found


def _statistics(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return the mean of each group of ``x`` [B, C, h, w], and the inverse of its standard deviation: [B, groups].

    ``eps`` is added to the variance.
    """
    batch, channels, height, width = x.shape
    counts, means, variances = [], [], []
    for first, end in strips(x.shape, x.element_size()):
        size = (end - first) * width
        part = x[:, :, first:end].contiguous(memory_format=torch.channels_last)
        # With float32 weights, the statistics are in float32 too.
        _, mean, inverse = torch.native_group_norm(part, weight, bias, batch, channels, size, groups, _TINY)
        counts.append(size)
        means.append(mean.double())
        variances.append(inverse.double() ** -2)
    share = torch.tensor(counts, dtype=torch.float64)[:, None, None] / (height * width)
    each = torch.stack(means)
    mean = (share * each).sum(0)
    variance = (share * (torch.stack(variances) + (each - mean) ** 2)).sum(0)
    return mean.float(), (variance + eps).rsqrt().float()


_TINY: Final = 1e-20
"""Added to a strip's variance, so that its inverse is finite."""
