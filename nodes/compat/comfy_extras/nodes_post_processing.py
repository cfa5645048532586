"""``comfy_extras.nodes_post_processing``: kernels, and the nodes for finished pictures."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nodes import gaussian


def gaussian_kernel(kernel_size: int, sigma: float, device: Any = None) -> Tensor:
    """[kernel_size, kernel_size], sum 1; ``sigma`` is in units of half the kernel. ``kernel_size`` is odd."""
    return gaussian.kernel(kernel_size // 2, sigma).to(device or "cpu")
