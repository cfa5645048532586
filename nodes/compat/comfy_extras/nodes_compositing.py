"""``comfy_extras.nodes_compositing``: Porter and Duff's operators, and the nodes for alpha."""

from __future__ import annotations

from enum import Enum
from typing import Any

from torch import Tensor

from nodes.mask import porter_duff

PorterDuffMode: Any = Enum("PorterDuffMode", {name: number for number, name in enumerate(porter_duff.OPERATORS)})
"""The operators by name."""


def porter_duff_composite(
    src_image: Tensor, src_alpha: Tensor, dst_image: Tensor, dst_alpha: Tensor, mode: Enum
) -> tuple[Tensor, Tensor]:
    """Two pictures [H, W, 3] with alpha [H, W, 1], joined by ``mode``: a picture and its alpha."""
    operator = porter_duff.OPERATORS[mode.name]
    color, alpha = operator(src_image * src_alpha, src_alpha, dst_image * dst_alpha, dst_alpha)
    return color / alpha.clamp(min=1e-5), alpha
