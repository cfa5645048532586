"""``comfy.rmsnorm``: normalization by the root mean square (arXiv:1910.07467)."""

from __future__ import annotations

import torch
from torch import Tensor

RMSNorm = torch.nn.RMSNorm


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """Return ``x`` [..., C] normalized over C, times ``weight`` [C]."""
    if weight is not None:
        weight = weight.to(x)
    return torch.nn.functional.rms_norm(x, (weight if weight is not None else x).shape[-1:], weight, eps)
