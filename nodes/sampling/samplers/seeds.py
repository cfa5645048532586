"""SEEDS: exponential SDE solvers that need no derivatives. Gonzalez et al., arXiv:2305.14267.

Time is lambda = -log(sigma). The reverse SDE scales ``x`` down by exp(-(1 + eta) dlambda)
towards the prediction, and adds noise whose variance ``eta`` sets.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise


def seeds_2(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 1 / 2,
) -> Tensor:
    """Two stages, the first ``r`` of the way. The step to 0 returns the prediction."""
    for sigma, sigma_next in pairwise(sigmas.tolist()):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        step = _Step(x, sigma, sigma_next, noise, eta, s_noise)
        x_2 = step.from_start(r, denoised) + step.noise_until(r)
        denoised_2 = model(x_2, step.sigma_at(r))
        x = step.from_start(1, denoised + (denoised_2 - denoised) / (2 * r)) + step.noise_until(1)
    return x


def seeds_3(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1 / 3,
    r_2: float = 2 / 3,
) -> Tensor:
    """Three stages, at ``r_1`` and ``r_2`` of the way. The step to 0 returns the prediction."""
    for sigma, sigma_next in pairwise(sigmas.tolist()):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        step = _Step(x, sigma, sigma_next, noise, eta, s_noise)
        x_2 = step.from_start(r_1, denoised) + step.noise_until(r_1)
        change = model(x_2, step.sigma_at(r_1)) - denoised
        x_3 = step.from_start(r_2, denoised) + step.drift(r_2) * (r_2 / r_1) * change + step.noise_until(r_2)
        change = model(x_3, step.sigma_at(r_2)) - denoised
        x = step.from_start(1, denoised) + step.drift(1) / r_2 * change + step.noise_until(1)
    return x


class _Step:
    """One step from ``sigma`` to ``sigma_next``; ``r`` is a fraction of it in log-sigma."""

    def __init__(self, x: Tensor, sigma: float, sigma_next: float, noise: StepNoise, eta: float, s_noise: float):
        self._x = x
        self._sigma = sigma
        self._h = math.log(sigma / sigma_next)
        self._noise = noise
        self._eta = eta
        self._s_noise = s_noise
        self._reached = 0.0
        self._accumulated = torch.zeros_like(x)

    def sigma_at(self, r: float) -> float:
        return self._sigma * math.exp(-r * self._h)

    def from_start(self, r: float, denoised: Tensor) -> Tensor:
        """Return the exact solution for a constant prediction, without its noise."""
        kept = math.exp(-r * self._h * (1 + self._eta))
        return kept * self._x + (1 - kept) * denoised

    def drift(self, r: float) -> float:
        """The effect at ``r`` of a prediction that changes linearly by 1 up to there."""
        h = r * self._h * (1 + self._eta)
        return 1 + math.expm1(-h) / h

    def noise_until(self, r: float) -> Tensor:
        """Return the noise added from the step's start to ``r``. Call it with rising ``r``."""
        if self._eta > 0 and self._s_noise > 0:
            damping = self._eta * self._h * (r - self._reached)
            fresh = self._noise(self.sigma_at(self._reached), self.sigma_at(r))
            self._accumulated = math.exp(-damping) * self._accumulated + math.sqrt(-math.expm1(-2 * damping)) * fresh
            self._reached = r
        return self._accumulated * (self.sigma_at(r) * self._s_noise)
