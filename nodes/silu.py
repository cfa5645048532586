"""SiLU, computed in place if no gradient needs the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def silu(x: Tensor) -> Tensor:
    """Compute ``x · sigmoid(x)`` (arXiv:1702.03118) of a tensor that is not used elsewhere.

    The result overwrites ``x``, unless a backward pass will need ``x``.
    """
    return F.silu(x, inplace=not (torch.is_grad_enabled() and x.requires_grad))
