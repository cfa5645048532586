"""The sampler of the first denoising diffusion models."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise


def ddpm(model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise) -> Tensor:
    """Draw from the posterior of DDPM, arXiv:2006.11239, equations 6 and 7, with sigma for alpha.

    There, for the latent divided by sqrt(1 + sigma²), 1 / alpha_bar is 1 + sigma².
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised = model(x, sigma)
        kept = (sigma_next / sigma) ** 2
        x = denoised + (x - denoised) * kept
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * sigma_next * (1 - kept).sqrt()
    return x
