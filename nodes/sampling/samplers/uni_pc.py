"""UniPC: a predictor and a corrector of one form, in data prediction. Zhao et al., arXiv:2302.04867."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy
from torch import Tensor

from nodes.sampling.denoiser import Denoiser

_SMALLEST_SIGMA = 0.001
"""Replaces a final sigma of 0, of which the method would need the logarithm."""


def uni_pc(model: Denoiser, x: Tensor, sigmas: Tensor, variant: Literal["bh1", "bh2"] = "bh1") -> Tensor:
    """UniPC-p in multistep form, of order p = min(3, steps - 1).

    Orders rise from 1 at the start and fall to 1 at the end. The last step is not corrected, so
    that each step costs one model call. ``variant`` is the paper's B(h): h, or exp(h) - 1.
    """
    levels = [sigma or _SMALLEST_SIGMA for sigma in sigmas.tolist()]
    lambdas = [-math.log(sigma) for sigma in levels]
    steps = len(levels) - 1
    highest = max(1, min(3, steps - 1))
    predictions = [model(x, levels[0])]  # latest first
    for i in range(1, steps + 1):
        order = min(highest, i, steps + 1 - i)
        h = lambdas[i] - lambdas[i - 1]
        ratios = [(past - lambdas[i - 1]) / h for past in lambdas[i - 1 :: -1][1:order]]
        changes = [(past - predictions[0]) / r for past, r in zip(predictions[1:order], ratios, strict=True)]
        weights, corrected = _weights(h, ratios, variant)

        base = levels[i] / levels[i - 1] * x - math.expm1(-h) * predictions[0]
        x = base + _weighted_sum(weights, changes)
        if i < steps:
            denoised = model(x, levels[i])
            x = base + _weighted_sum(corrected, [*changes, denoised - predictions[0]])
            predictions = [denoised, *predictions][:highest]
    return x


def _weights(h: float, ratios: Sequence[float], variant: str) -> tuple[list[float], list[float]]:
    """Weights of the prediction's changes in the predictor and, with the newest change, in the corrector.

    They solve the order conditions. The lowest orders have weight 1/2,
    which satisfies the conditions up to the method's order.
    """
    order = len(ratios) + 1
    scale = -h if variant == "bh1" else math.expm1(-h)
    phi, conditions = math.expm1(-h) / -h, []
    for k in range(1, order + 1):
        phi = (phi - 1 / math.factorial(k)) / -h
        conditions.append(math.factorial(k) * -h * phi / scale)
    powers = numpy.vander([*ratios, 1.0], order, increasing=True).T
    predictor = [0.5] * (order - 1) if order <= 2 else numpy.linalg.solve(powers[:-1, :-1], conditions[:-1])
    corrector = [0.5] if order == 1 else numpy.linalg.solve(powers, conditions)
    return [-scale * float(w) for w in predictor], [-scale * float(w) for w in corrector]


def _weighted_sum(weights: Sequence[float], values: Sequence[Tensor]) -> Tensor | float:
    return sum((w * v for w, v in zip(weights, values, strict=True)), start=0.0)
