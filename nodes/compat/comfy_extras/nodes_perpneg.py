"""``comfy_extras.nodes_perpneg``: perpendicular negative guidance (arXiv:2304.04968)."""

from __future__ import annotations

from torch import Tensor

from nodes.compat.comfy_extras.nodes_custom_sampler import Guider_PerpNeg
from nodes.sampling.guidance import perpendicular

__all__ = ["Guider_PerpNeg", "perp_neg"]


def perp_neg(
    x: Tensor,
    noise_pred_pos: Tensor,
    noise_pred_neg: Tensor,
    noise_pred_nocond: Tensor,
    neg_scale: float,
    cond_scale: float,
) -> Tensor:
    """Return the guided noise of three predicted noises like ``x``."""
    positive, negative = noise_pred_pos - noise_pred_nocond, noise_pred_neg - noise_pred_nocond
    return noise_pred_nocond + cond_scale * (positive - perpendicular(negative, positive) * neg_scale)
