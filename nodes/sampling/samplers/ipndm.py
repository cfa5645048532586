"""Improved PNDM: Adams-Bashforth steps in sigma, as DEIS (arXiv:2204.13902) describes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from nodes.sampling.denoiser import Denoiser

WeightsFor = Callable[[Sequence[float]], Sequence[float]]

_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the latest slope and the earlier ones, for equal steps."""


def ipndm(model: Denoiser, x: Tensor, sigmas: Tensor, order: int = 4) -> Tensor:
    """Use the Adams-Bashforth weights of equal steps for all steps. The step to 0 returns the prediction.

    As in zju-pi/diff-sampler (Apache-2.0). ``order`` is 1 to 4.
    """
    return _multistep(model, x, sigmas, order, lambda steps: _ADAMS_BASHFORTH[len(steps) - 1])


def ipndm_v(model: Denoiser, x: Tensor, sigmas: Tensor, order: int = 4) -> Tensor:
    """Use weights for steps of varying length. The step to 0 returns the prediction. ``order`` is 1 to 4."""
    return _multistep(model, x, sigmas, order, variable_step_weights)


def variable_step_weights(steps: Sequence[float]) -> tuple[float, ...]:
    """Return the weights of the latest slope and earlier ones; ``steps`` are the lengths of this step and earlier ones.

    They come from zju-pi/diff-sampler (Apache-2.0). For equal steps they are Adams-Bashforth's;
    otherwise two terms, marked below, differ from the exact integral of the interpolating polynomial. They are
    kept so that pictures agree.
    """
    h = steps[0]
    weights = [1.0, 0.0, 0.0, 0.0]
    if len(steps) > 1:
        h1 = steps[1]
        first = h / h1 / 2
        weights[0] += first
        weights[1] -= first
    if len(steps) > 2:
        h2 = steps[2]
        ratio = h1 / h2
        # Exact: the 1 - ... bracket is closed before the second factor.
        second = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
        weights[0] += second
        weights[1] -= (1 + ratio) * second
        weights[2] += ratio * second
    if len(steps) > 3:
        h3 = steps[3]
        ratio_3 = h1 * (h1 + h2) / (h2 * (h2 + h3))
        scale = h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        third = ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))) * scale
        weights[0] += third
        weights[1] -= (1 + ratio + ratio_3) * third
        weights[2] += (ratio + ratio_3 * (1 + h2 / h3)) * third
        # Exact: h2 / h3 instead of h1 / h2.
        weights[3] -= ratio_3 * h1 / h2 * third
    return tuple(weights[: len(steps)])


def _multistep(model: Denoiser, x: Tensor, sigmas: Tensor, order: int, weights_for: WeightsFor) -> Tensor:
    levels = sigmas.tolist()
    slopes: deque[Tensor] = deque(maxlen=order)  # latest first
    steps: deque[float] = deque(maxlen=order)
    for sigma, sigma_next in pairwise(levels):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        slopes.appendleft((x - denoised) / sigma)
        steps.appendleft(sigma_next - sigma)
        d = sum(w * slope for w, slope in zip(weights_for(steps), slopes, strict=True))
        x = x + (sigma_next - sigma) * d
    return x
