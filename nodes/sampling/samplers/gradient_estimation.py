"""Gradient estimation: Euler steps that correct the slope by its change."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser


def gradient_estimation(model: Denoiser, x: Tensor, sigmas: Tensor, gamma: float = 2.0) -> Tensor:
    """Permenter & Yuan, arXiv:2306.04848. The step to 0 returns the prediction."""
    d_previous: Tensor | None = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        d = (x - denoised) / sigma
        estimate = d if d_previous is None else gamma * d + (1 - gamma) * d_previous
        x = x + estimate * (sigma_next - sigma)
        d_previous = d
    return x


def gradient_estimation_cfg_pp(model: Denoiser, x: Tensor, sigmas: Tensor, gamma: float = 2.0) -> Tensor:
    """:func:`gradient_estimation` with CFG++ (arXiv:2406.08070): slopes come from the unconditional prediction."""
    d_previous: Tensor | None = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        if sigma_next == 0:
            return denoised
        d = (x - unconditional) / sigma
        x = denoised + d * sigma_next
        if d_previous is not None:
            x = x + (gamma - 1) * (d - d_previous) * (sigma_next - sigma)
        d_previous = d
    return x
