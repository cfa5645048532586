"""SiLU, in place where the input is not needed again."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def silu(x: Tensor) -> Tensor:
    """``x · sigmoid(x)`` (arXiv:1702.03118) of a tensor that nobody else reads.

    The result takes the memory of ``x``, unless a backward pass will need ``x``.
    """
    return F.silu(x, inplace=not (torch.is_grad_enabled() and x.requires_grad))
