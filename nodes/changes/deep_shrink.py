"""Deep shrink: computes the first steps of large pictures at a lower resolution inside the network (by @kohya-ss)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodes.resize import resize


@dataclass(frozen=True)
class DeepShrink:
    """Resizes a feature map by 1 / ``factor`` after input block ``block`` while sigma is between two levels.

    ``down`` and ``up`` are methods of :func:`nodes.resize.resize`. Add :meth:`shrink` as a patch of the input blocks
    and :meth:`grow` as one of the output blocks.
    """

    block: int
    factor: float
    sigma_start: float
    sigma_end: float
    down: str
    up: str

    def shrink(self, h: Tensor, options: Mapping[str, Any]) -> Tensor:
        """Return ``h`` [B, C, h, w], resized after that block."""
        if options["block"][1] != self.block or not self.sigma_end <= float(options["sigmas"][0]) <= self.sigma_start:
            return h
        height, width = (max(1, round(side / self.factor)) for side in h.shape[-2:])
        return resize(h, width, height, self.down)

    def grow(self, h: Tensor, skip: Tensor, options: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return ``h``, resized to the size of its skip connection if their sizes differ."""
        if h.shape[-2:] != skip.shape[-2:]:
            h = resize(h, skip.shape[-1], skip.shape[-2], self.up)
        return h, skip
