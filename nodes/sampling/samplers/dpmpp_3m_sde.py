"""DPM-Solver++(3M) for the reverse-time SDE: third-order multistep."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise


def dpmpp_3m_sde(
    model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise, eta: float = 1.0, s_noise: float = 1.0
) -> Tensor:
    """Predictions extrapolated from three noise levels. After k-diffusion; cf. Lu et al., arXiv:2211.01095.

    The step to 0 returns the prediction.
    """
    predictions: list[Tensor] = []  # latest first
    steps: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        h = sigma.log() - sigma_next.log()
        h_total = h * (1 + eta)
        x = (-h_total).exp() * x - (-h_total).expm1() * denoised
        phi_2 = (-h_total).expm1() / h_total + 1
        if len(predictions) == 1:
            d = (denoised - predictions[0]) / (steps[0] / h)
            x = x + phi_2 * d
        elif len(predictions) == 2:
            r0, r1 = steps[0] / h, steps[1] / h
            d1_0 = (denoised - predictions[0]) / r0
            d1_1 = (predictions[0] - predictions[1]) / r1
            d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
            d2 = (d1_0 - d1_1) / (r0 + r1)
            phi_3 = phi_2 / h_total - 0.5
            x = x + phi_2 * d1 - phi_3 * d2
        if eta:
            x = x + noise(sigma, sigma_next) * sigma_next * (-(-2 * eta * h).expm1()).sqrt() * s_noise
        predictions, steps = [denoised, *predictions[:1]], [h, *steps[:1]]
    return x
