"""The sampler of consistency models."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise


def lcm(model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise) -> Tensor:
    """Predicts, and noises the prediction anew. Luo et al., Latent Consistency Models, arXiv:2310.04378."""
    for sigma, sigma_next in pairwise(sigmas):
        x = model(x, sigma)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * sigma_next
    return x
