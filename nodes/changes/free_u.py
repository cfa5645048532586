"""FreeU: amplifies the U-Net's backbone and damps its skip connections. Si et al., arXiv:2309.11497."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.changes.frequencies import scaled_frequencies


@dataclass(frozen=True)
class FreeU:
    """Scales both inputs of the output blocks with 4 times (``b1``, ``s1``) or twice (``b2``, ``s2``) as many channels
    as the network's first block, ``model_channels``.

    The first half of the backbone's channels is multiplied by b, the lowest frequencies of the skip by s. With
    ``by_mean`` (version 2) b is weighted by the mean of all channels, scaled to 0..1 in each item: 1 + (b - 1) · mean.
    """

    model_channels: int
    b1: float
    b2: float
    s1: float
    s2: float
    by_mean: bool = False

    def __call__(self, h: Tensor, skip: Tensor, options: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        scales = {4 * self.model_channels: (self.b1, self.s1), 2 * self.model_channels: (self.b2, self.s2)}
        backbone, low = scales.get(h.shape[1], (1.0, 1.0))
        if backbone != 1.0:
            h = h.clone()
            h[:, : h.shape[1] // 2] *= self._weight(h, backbone)
        return h, skip if low == 1.0 else scaled_frequencies(skip, 1, low)

    def _weight(self, h: Tensor, backbone: float) -> Tensor | float:
        if not self.by_mean:
            return backbone
        mean = h.mean(1, keepdim=True)
        lowest, highest = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
        spread = (highest - lowest).clamp(min=torch.finfo(h.dtype).tiny)  # a map of one value has none
        return 1 + (backbone - 1) * (mean - lowest) / spread
