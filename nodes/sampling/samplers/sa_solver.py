"""SA-Solver: stochastic Adams steps, predictor and corrector. Xue et al., arXiv:2309.05019."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy
import torch
from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.lagrange import lagrange_integrals

Tau = Callable[[float], float]
"""How stochastic the SDE is at a sigma: 0 is the ODE, 1 the reverse-time SDE."""


def tau_between(sigma_start: float, sigma_end: float, eta: float = 1.0) -> Tau:
    """``eta`` while ``sigma_end <= sigma <= sigma_start``, else 0."""
    return lambda sigma: eta if sigma_end <= sigma <= sigma_start else 0.0


def sa_solver(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise,
    tau: Tau,
    predictor_order: int = 3,
    corrector_order: int = 4,
    pece: bool = False,
    s_noise: float = 1.0,
) -> Tensor:
    """SA-Solver in data prediction.

    Each step predicts the next latent from ``predictor_order`` predictions, and corrects it with
    the one made there, ``corrector_order`` in all (0: never). ``pece`` evaluates the model again
    at the corrected latent. Towards sigma 0 orders fall to 1, and the last step returns the
    prediction.
    """
    levels = sigmas.tolist()
    lambdas = [-math.log(sigma) if sigma > 0 else math.inf for sigma in levels]
    ends_at_zero = levels[-1] == 0
    steps = len(levels) - 1
    predictions: list[Tensor] = []  # latest first
    x_start, added, tau_step = x, torch.zeros_like(x), 0.0  # of the step that led here
    for i in range(steps):
        denoised = model(x, levels[i])
        predictions = [denoised, *predictions][: max(predictor_order, corrector_order)]

        order = min(corrector_order, len(predictions), steps - i if ends_at_zero else corrector_order)
        if i > 0 and order > 0 and (pece or levels[i + 1] > 0):
            weights = adams_weights(lambdas[i - 1], lambdas[i], lambdas[i::-1][:order], tau_step)
            x = _step(x_start, predictions, weights, lambdas[i] - lambdas[i - 1], tau_step) + added
            if pece:
                denoised = model(x, levels[i])
                predictions[0] = denoised

        if levels[i + 1] == 0:
            return denoised
        h = lambdas[i + 1] - lambdas[i]
        tau_step = tau(levels[i + 1])
        order = min(predictor_order, len(predictions), steps - 1 - i if ends_at_zero else predictor_order)
        weights = adams_weights(lambdas[i], lambdas[i + 1], lambdas[i::-1][:order], tau_step)
        added = torch.zeros_like(x)
        if tau_step > 0 and s_noise > 0:
            amount = levels[i + 1] * math.sqrt(-math.expm1(-2 * tau_step**2 * h)) * s_noise
            added = noise(levels[i], levels[i + 1]) * amount
        x_start, x = x, _step(x, predictions, weights, h, tau_step) + added
    return x


def adams_weights(start: float, end: float, nodes: Sequence[float], tau: float) -> list[float]:
    """What each prediction, made at ``nodes`` in lambda, weighs in a step from ``start`` to ``end``.

    The integral of the polynomial through them against the SDE's exponential kernel.
    """
    rate = 1 + tau**2
    return lagrange_integrals(nodes, start, end, weight=lambda s: rate * numpy.exp(rate * (s - end)))


def _step(x: Tensor, predictions: Sequence[Tensor], weights: Sequence[float], h: float, tau: float) -> Tensor:
    kept = math.exp(-(1 + tau**2) * h)
    return kept * x + sum(w * p for w, p in zip(weights, predictions, strict=False))
