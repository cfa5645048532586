"""SA-Solver: stochastic Adams steps, predictor and corrector. Xue et al., arXiv:2309.05019."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise
from nodes.sampling.samplers.lagrange import lagrange_integrals

Tau = Callable[[float], float]
"""Function of sigma that sets how stochastic the SDE is: 0 is the ODE, 1 the reverse-time SDE."""


@dataclass(frozen=True)
class TauBetween:
    """``eta`` while ``sigma_end <= sigma <= sigma_start``, else 0."""

    sigma_start: float
    sigma_end: float
    eta: float = 1.0

    def __call__(self, sigma: float) -> float:
        return self.eta if self.sigma_end <= sigma <= self.sigma_start else 0.0


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
    simple_order_2: bool = False,
) -> Tensor:
    """SA-Solver in data prediction.

    Each step predicts the next latent from ``predictor_order`` predictions, and corrects it with the
    prediction made there, from ``corrector_order`` predictions (0: no correction). ``pece`` evaluates the model again
    at the corrected latent. ``simple_order_2`` uses the paper's simpler weights if the order is 2.
    Towards sigma 0, orders fall to 1, and the last step returns the prediction.
    """
    weigh = simple_adams_weights if simple_order_2 else adams_weights
    levels = sigmas.tolist()
    lambdas = [-math.log(sigma) if sigma > 0 else math.inf for sigma in levels]
    ends_at_zero = levels[-1] == 0
    steps = len(levels) - 1
    predictions: list[Tensor] = []  # latest first
    x_start, added, tau_step = x, torch.zeros_like(x), 0.0  # tau of the previous step
    for i in range(steps):
        denoised = model(x, levels[i])
        predictions = [denoised, *predictions][: max(predictor_order, corrector_order)]

        order = min(corrector_order, len(predictions), steps - i if ends_at_zero else corrector_order)
        if i > 0 and order > 0 and (pece or levels[i + 1] > 0):
            weights = weigh(lambdas[i - 1], lambdas[i], lambdas[i::-1][:order], tau_step)
            x = _step(x_start, predictions, weights, lambdas[i] - lambdas[i - 1], tau_step) + added
            if pece:
                denoised = model(x, levels[i])
                predictions[0] = denoised

        if levels[i + 1] == 0:
            return denoised
        h = lambdas[i + 1] - lambdas[i]
        tau_step = tau(levels[i + 1])
        order = min(predictor_order, len(predictions), steps - 1 - i if ends_at_zero else predictor_order)
        weights = weigh(lambdas[i], lambdas[i + 1], lambdas[i::-1][:order], tau_step)
        added = torch.zeros_like(x)
        if tau_step > 0 and s_noise > 0:
            amount = levels[i + 1] * math.sqrt(-math.expm1(-2 * tau_step**2 * h)) * s_noise
            added = noise(levels[i], levels[i + 1]) * amount
        x_start, x = x, _step(x, predictions, weights, h, tau_step) + added
    return x


def adams_weights(start: float, end: float, nodes: Sequence[float], tau: float) -> list[float]:
    """Weights of the predictions, made at ``nodes`` in lambda, in a step from ``start`` to ``end``.

    The weighted sum is the integral of the polynomial through the predictions, with the SDE's exponential kernel.
    """
    rate = 1 + tau**2
    return lagrange_integrals(nodes, start, end, weight=lambda s: rate * numpy.exp(rate * (s - end)))


def simple_adams_weights(start: float, end: float, nodes: Sequence[float], tau: float) -> list[float]:
    """Return :func:`adams_weights`, with the weights of two predictions simplified as in appendix D of the paper.

    A predictor weights the older prediction as if the exponential kernel were 1; a corrector averages both ends.
    """
    if len(nodes) != 2:
        return adams_weights(start, end, nodes, tau)
    rate, h = 1 + tau**2, end - start
    total = -math.expm1(-rate * h)
    if nodes[0] == end:  # the corrector: the newest prediction was made at the end of the step
        newest = rate * h / 2
        return [newest, total - newest]
    older = rate * h**2 / (2 * (nodes[1] - start))
    return [total - older, older]


def _step(x: Tensor, predictions: Sequence[Tensor], weights: Sequence[float], h: float, tau: float) -> Tensor:
    kept = math.exp(-(1 + tau**2) * h)
    return kept * x + sum(w * p for w, p in zip(weights, predictions, strict=False))
