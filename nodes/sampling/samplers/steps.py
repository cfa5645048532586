"""The balance of removed and added noise in stochastic steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nodes.sampling.noise import StepNoise


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return ``sigma_down``, the level to denoise to, and ``sigma_up``, the noise to add there to reach ``sigma_next``.

    With ``eta`` 1 this is the posterior of DDPM, arXiv:2006.11239, equation 7.
    """
    if not eta:
        return sigma_next, torch.zeros_like(sigma_next)
    sigma_up = eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5
    sigma_up = torch.minimum(sigma_next, sigma_up)
    return (sigma_next**2 - sigma_up**2) ** 0.5, sigma_up


def churned(
    x: Tensor,
    sigma: Tensor,
    steps: int,
    noise: StepNoise | None,
    s_churn: float,
    s_tmin: float,
    s_tmax: float,
    s_noise: float,
) -> tuple[Tensor, Tensor]:
    """Raise ``x`` to a higher noise level before a step; also returns the level. arXiv:2206.00364, algorithm 2.

    A run of ``steps`` steps adds ``s_churn`` in total, while sigma is in ``s_tmin`` … ``s_tmax``; ``s_noise`` scales
    the noise. Without noise or churn, both stay unchanged.
    """
    if noise is None or s_churn <= 0 or not s_tmin <= float(sigma) <= s_tmax:
        return x, sigma
    higher = sigma * (1 + min(s_churn / steps, math.sqrt(2) - 1))
    return x + noise(sigma, higher) * s_noise * (higher**2 - sigma**2) ** 0.5, higher
