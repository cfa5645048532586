"""``comfy_extras.nodes_sag``: blurring as self-attention guidance does it (arXiv:2210.00939), and its node."""

from __future__ import annotations

from torch import Tensor

from nodes.changes.attention_guidance import blurred


def gaussian_blur_2d(img: Tensor, kernel_size: int, sigma: float) -> Tensor:
    """``img`` [B, C, H, W] blurred by a Gaussian over an odd number of pixels, mirrored at the edges."""
    return blurred(img, sigma, kernel_size // 2)
