"""DPM-Solver++(2S) with ancestral noise. Lu et al., arXiv:2211.01095, algorithm 1."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import ancestral_step


def dpmpp_2s_ancestral(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """Second-order single steps in log-sigma with the midpoint's prediction, then ancestral noise."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        if sigma_down == 0:
            x = denoised
        else:
            t, t_next = -sigma.log(), -sigma_down.log()
            h = t_next - t
            sigma_mid = (t + h / 2).neg().exp()
            x_2 = sigma_mid / sigma * x - (-h / 2).expm1() * denoised
            denoised_2 = model(x_2, sigma_mid)
            x = sigma_down / sigma * x - (-h).expm1() * denoised_2
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
    return x


def dpmpp_2s_ancestral_cfg_pp(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """:func:`dpmpp_2s_ancestral` with CFG++ (arXiv:2406.08070): each of the two evaluations renoises with
    its unconditional prediction.
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unconditional = model.with_unconditional(x, sigma)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        if sigma_down == 0:
            x = denoised
        else:
            t, t_next = -sigma.log(), -sigma_down.log()
            h = t_next - t
            sigma_mid = (t + h / 2).neg().exp()
            x_2 = sigma_mid / sigma * (x + denoised - unconditional) - (-h / 2).expm1() * denoised
            denoised_2, unconditional_2 = model.with_unconditional(x_2, sigma_mid)
            x = sigma_down / sigma * (x + denoised - unconditional_2) - (-h).expm1() * denoised_2
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * s_noise * sigma_up
    return x
