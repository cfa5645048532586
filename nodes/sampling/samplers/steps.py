"""How a stochastic step divides the noise it removes from the noise it adds."""

from __future__ import annotations

import torch
from torch import Tensor


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor]:
    """``sigma_down`` to denoise to and ``sigma_up`` of noise to add there, to arrive at ``sigma_next``.

    With ``eta`` 1 the two make the posterior of DDPM, arXiv:2006.11239, equation 7.
    """
    if not eta:
        return sigma_next, torch.zeros_like(sigma_next)
    sigma_up = eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5
    sigma_up = torch.minimum(sigma_next, sigma_up)
    return (sigma_next**2 - sigma_up**2) ** 0.5, sigma_up
