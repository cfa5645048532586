"""``comfy_extras.nodes_freelunch``: the filter of FreeU (arXiv:2309.11497), and its nodes."""

from __future__ import annotations

from torch import Tensor

from nodes.changes.frequencies import scaled_frequencies


def Fourier_filter(x: Tensor, threshold: int, scale: float) -> Tensor:
    """``x`` [B, C, h, w] with the frequencies up to ``threshold`` around the centre multiplied by ``scale``."""
    return scaled_frequencies(x, threshold, scale)
