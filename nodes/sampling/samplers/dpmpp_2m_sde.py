"""DPM-Solver++(2M) for the reverse-time SDE: second-order multistep. Lu et al., arXiv:2211.01095."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise


def dpmpp_2m_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Tensor:
    """``eta`` scales the noise that is removed and added again; the step to 0 returns the prediction.

    ``solver_type``: how the change of the prediction is used, at the step's midpoint or
    integrated over the step.
    """
    previous: Tensor | None = None
    h_previous = sigmas.new_zeros(())
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        h = sigma.log() - sigma_next.log()
        h_total = h * (1 + eta)
        gain = -(-h_total).expm1()
        x = sigma_next / sigma * (-eta * h).exp() * x + gain * denoised
        if previous is not None:
            change = (denoised - previous) * (h / h_previous)
            x = x + change * (gain / 2 if solver_type == "midpoint" else 1 - gain / h_total)
        if eta:
            x = x + noise(sigma, sigma_next) * sigma_next * (-(-2 * eta * h).expm1()).sqrt() * s_noise
        previous, h_previous = denoised, h
    return x
