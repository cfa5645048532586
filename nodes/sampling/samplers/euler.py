"""Euler's method, and its ancestral and CFG++ forms."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import ancestral_step, churned


def euler(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise | None = None,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Euler steps along the probability-flow ODE: algorithm 1 of arXiv:2206.00364 without its correction.

    ``s_churn`` adds noise before each step; see :func:`nodes.sampling.samplers.steps.churned`.
    """
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma = churned(x, sigma, len(sigmas) - 1, noise, s_churn, s_tmin, s_tmax, s_noise)
        denoised = model(x, sigma)
        d = (x - denoised) / sigma
        x = x + d * (sigma_next - sigma)
    return x


def euler_ancestral(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """Euler steps that overshoot, then add noise back. ``eta`` 0 is Euler, 1 is DDPM's amount of noise."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        d = (x - denoised) / sigma
        x = x + d * (sigma_down - sigma)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
    return x


def euler_cfg_pp(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Euler with CFG++: guided denoising, unconditional renoising. arXiv:2406.08070, algorithm 2."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        d = (x - unconditional) / sigma
        x = denoised + d * sigma_next
    return x


def euler_ancestral_cfg_pp(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """:func:`euler_cfg_pp` with ancestral noise."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        d = (x - unconditional) / sigma
        x = denoised + d * sigma_down
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
    return x


def euler_cfg_pp_alternative(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Euler steps whose slope adds the change from the guided to the unconditional prediction to Euler's own."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        d = (x - denoised + (unconditional - denoised)) / sigma
        x = x + d * (sigma_next - sigma)
    return x
