"""Heun's method, and Heun++ with its third evaluation."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser


def heun(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Second-order steps that average the slopes at both ends. Karras et al., arXiv:2206.00364, algorithm 1."""
    for sigma, sigma_next in pairwise(sigmas):
        d = (x - model(x, sigma)) / sigma
        dt = sigma_next - sigma
        if sigma_next > 0:
            x_2 = x + d * dt
            d_2 = (x_2 - model(x_2, sigma_next)) / sigma_next
            d = (d + d_2) / 2
        x = x + d * dt
    return x


def heunpp2(model: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Heun++: the slope is averaged over this noise level and the next two.

    A later slope weighs its sigma's share of the first sigma of the run (over the number of
    slopes), so that early steps look ahead and late ones approach Euler's. The last two steps
    average over two levels and one.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
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
