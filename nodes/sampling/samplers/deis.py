"""DEIS: multistep steps with a polynomial in the time of a variance-preserving diffusion."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

import numpy
from numpy.typing import NDArray
from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.samplers.lagrange import lagrange_integrals

# The diffusion whose noise levels are 0.002 at time 0.001 and 80 at time 1: EDM's range, arXiv:2206.00364.
_START, _SIGMA_START, _SIGMA_END = 1e-3, 0.002, 80.0
_LOG_START, _LOG_END = math.log(_SIGMA_START**2 + 1), math.log(_SIGMA_END**2 + 1)
_BETA_SLOPE = 2 * (_LOG_START / _START - _LOG_END) / (_START - 1)
_BETA_MIN = _LOG_END - _BETA_SLOPE / 2


def deis(model: Denoiser, x: Tensor, sigmas: Tensor, order: int = 3) -> Tensor:
    """tAB-DEIS of Zhang & Chen, arXiv:2204.13902; a step to 0 is Euler's.

    The last ``order`` slopes are interpolated by a polynomial in the diffusion's time, which is
    integrated over sigma. Constants as in zju-pi/diff-sampler's tabulated mode (Apache-2.0).
    """
    levels = sigmas.tolist()
    slopes: deque[Tensor] = deque(maxlen=order)  # latest first
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        slopes.appendleft((x - denoised) / sigma)
        past = [float(t) for t in diffusion_time(numpy.array(levels[i::-1][: len(slopes)]))]
        coefficients = lagrange_integrals(past, sigma, sigma_next, position=diffusion_time)
        x = x + sum(c * d for c, d in zip(coefficients, slopes, strict=True))
    return x


def diffusion_time(sigma: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Return the times at which a diffusion with linearly growing beta reaches these noise levels."""
    return (numpy.sqrt(_BETA_MIN**2 + 2 * _BETA_SLOPE * numpy.log(sigma**2 + 1)) - _BETA_MIN) / _BETA_SLOPE
