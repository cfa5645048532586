"""The sampler of consistency models."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.resize import resize
from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import NoiseLike, StepNoise


def lcm(model: Denoiser, x: Tensor, sigmas: Tensor, noise: StepNoise) -> Tensor:
    """Predict, then add noise of the next level to the prediction. Luo et al., arXiv:2310.04378."""
    for sigma, sigma_next in pairwise(sigmas):
        x = model(x, sigma)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * sigma_next
    return x


def lcm_upscale(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseLike,
    scale_ratio: float = 1.0,
    scale_steps: int | None = None,
    method: str = "bislerp",
) -> Tensor:
    """Run :func:`lcm`, but resize the prediction after each of the first steps, up to ``scale_ratio`` times the size.

    The factor rises evenly from 1 to ``scale_ratio`` over ``scale_steps`` steps (None: half of all, at least 1).
    ``method`` is one of :data:`nodes.resize.METHODS`.
    """
    resized_steps = max(len(sigmas) // 2, 1) if scale_steps is None else min(scale_steps, len(sigmas))
    height, width = x.shape[-2:]
    for i, sigma_next in enumerate(sigmas[1:]):
        x = model(x, sigmas[i])
        if i < resized_steps:
            factor = 1 + (scale_ratio - 1) * (i + 1) / resized_steps
            x = resize(x, round(width * factor), round(height * factor), method)
        if sigma_next > 0:
            x = x + noise(x) * sigma_next
    return x
