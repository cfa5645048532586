"""DPM-Solver++ for the reverse-time SDE, in single steps of two stages."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import ancestral_step


def dpmpp_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 1 / 2,
) -> Tensor:
    """A stage to ``r`` of the way in log-sigma, then the whole step; both with ancestral noise.

    After k-diffusion; cf. Lu et al., arXiv:2211.01095. The step to 0 returns the prediction.
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        t, t_next = -sigma.log(), -sigma_next.log()
        sigma_mid = (t + (t_next - t) * r).neg().exp()

        sigma_down, sigma_up = ancestral_step(sigma, sigma_mid, eta)
        x_2 = sigma_down / sigma * x + (1 - sigma_down / sigma) * denoised
        x_2 = x_2 + noise(sigma, sigma_mid) * s_noise * sigma_up
        denoised_2 = model(x_2, sigma_mid)

        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        extrapolated = denoised + (denoised_2 - denoised) / (2 * r)
        x = sigma_down / sigma * x + (1 - sigma_down / sigma) * extrapolated
        x = x + noise(sigma, sigma_next) * s_noise * sigma_up
    return x
