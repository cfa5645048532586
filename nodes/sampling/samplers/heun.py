"""Heun's method, and Heun++ with its third evaluation."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.steps import churned


def heun(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise | None = None,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Second-order steps that average the slopes at both ends. Karras et al., arXiv:2206.00364, algorithms 1 and 2.

    ``s_churn`` adds noise before each step; see :func:`nodes.sampling.samplers.steps.churned`.
    """
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma = churned(x, sigma, len(sigmas) - 1, noise, s_churn, s_tmin, s_tmax, s_noise)
        d = (x - model(x, sigma)) / sigma
        dt = sigma_next - sigma
        if sigma_next > 0:
            x_2 = x + d * dt
            d_2 = (x_2 - model(x_2, sigma_next)) / sigma_next
            d = (d + d_2) / 2
        x = x + d * dt
    return x


def heunpp2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise | None = None,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """Heun++: the slope is averaged over this noise level and the next two.

    The weight of a later slope is the ratio of its sigma to the run's first sigma (divided by the number of
    slopes), so that early steps look ahead and late ones approach Euler's. The last two steps
    average over two levels and one level. ``s_churn`` is as in :func:`heun`.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma = churned(x, sigma, len(sigmas) - 1, noise, s_churn, s_tmin, s_tmax, s_noise)
        ahead = sigmas[i + 1 : i + 3]
        ahead = ahead[ahead > sigmas[-1]]
        slopes, point, level = [], x, sigma
        for later in [*ahead, None]:
            slopes.append((point - model(point, level)) / level)
            if later is not None:
                point, level = point + slopes[-1] * (later - level), later
        weights = ahead / (len(slopes) * sigmas[0])
        d = slopes[0] * (1 - weights.sum())
        for weight, slope in zip(weights, slopes[1:], strict=True):
            d = d + slope * weight
        x = x + d * (sigma_next - sigma)
    return x
