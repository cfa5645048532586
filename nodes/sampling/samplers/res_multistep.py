"""The refined exponential solver, second-order multistep. Zhang et al., arXiv:2308.02157."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import ancestral_step


def res_multistep(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 0.0, s_noise: float = 1.0
) -> Tensor:
    """Combine the predictions of this noise level and the one before, with weights that satisfy the order conditions.

    ``eta`` 0 is deterministic, 1 ancestral.
    """
    previous: Tensor | None = None
    step_before = math.nan, math.nan
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        if previous is None or sigma_down == 0:
            x = denoised + (x - denoised) * (sigma_down / sigma)
        else:
            h, b1, b2 = _weights(sigma, sigma_down, *step_before)
            x = math.exp(-h) * x + h * (b1 * denoised + b2 * previous)
        if sigma_next > 0 and eta:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
        previous, step_before = denoised, (float(sigma), float(sigma_down))
    return x


def res_multistep_cfg_pp(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 0.0, s_noise: float = 1.0
) -> Tensor:
    """:func:`res_multistep` with CFG++, arXiv:2406.08070.

    The solver uses unconditional predictions, and ``x`` shifted by the contribution of guidance.
    """
    previous: Tensor | None = None
    step_before = math.nan, math.nan
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        if previous is None or sigma_down == 0:
            x = denoised + (x - unconditional) * (sigma_down / sigma)
        else:
            h, b1, b2 = _weights(sigma, sigma_down, *step_before)
            x = math.exp(-h) * (x + denoised - unconditional) + h * (b1 * unconditional + b2 * previous)
        if sigma_next > 0 and eta:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
        previous, step_before = unconditional, (float(sigma), float(sigma_down))
    return x


def _weights(sigma: Tensor, sigma_down: Tensor, sigma_before: float, sigma_down_before: float) -> tuple[float, ...]:
    """Return the step h in log-sigma, and the weights of this prediction and the one before.

    The current time is the end of the previous step before noise was added.
    """
    h = math.log(sigma / sigma_down)
    c2 = math.log(sigma_down_before / sigma_before) / h
    phi_1 = math.expm1(-h) / -h
    phi_2 = (phi_1 - 1) / -h
    return h, phi_1 - phi_2 / c2, phi_2 / c2
