"""DPM-Solver-2 in Karras et al.'s form: a midpoint step in log-sigma."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import ancestral_step, churned


def dpm_2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise | None = None,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Second-order steps with the slope at the geometric mean of the noise levels. arXiv:2206.00927.

    ``s_churn`` adds noise before each step; see :func:`nodes.sampling.samplers.steps.churned`.
    """
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma = churned(x, sigma, len(sigmas) - 1, noise, s_churn, s_tmin, s_tmax, s_noise)
        x = _midpoint_step(model, x, sigma, sigma_next)
    return x


def dpm_2_ancestral(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """:func:`dpm_2` with ancestral noise."""
    for sigma, sigma_next in pairwise(sigmas):
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        x = _midpoint_step(model, x, sigma, sigma_down)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
    return x


def _midpoint_step(model: Denoiser, x: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    d = (x - model(x, sigma)) / sigma
    if sigma_next > 0:
        sigma_mid = sigma.log().lerp(sigma_next.log(), 0.5).exp()
        x_2 = x + d * (sigma_mid - sigma)
        d = (x_2 - model(x_2, sigma_mid)) / sigma_mid
    return x + d * (sigma_next - sigma)
