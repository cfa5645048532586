"""Extended reverse-time SDE solvers. Cui et al., arXiv:2309.06169."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy
from numpy.typing import NDArray
from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise

NoiseScaler = Callable[[NDArray[numpy.float64]], NDArray[numpy.float64]]
"""phi(sigma), which determines the amount of added noise. :class:`PowerScaler` is the simplest."""

_INTEGRATION_POINTS = 200


def er_sde_5(sigma: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Compute the noise scaler that is the default in the authors' code."""
    return sigma * (numpy.exp(sigma**0.3) + 10)


@dataclass(frozen=True)
class PowerScaler:
    """phi(sigma) = sigma^(1 + ``eta``): 0 gives the ODE, 1 the reverse-time SDE."""

    eta: float

    def __call__(self, sigma: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
        scaled: NDArray[numpy.float64] = sigma ** (1 + self.eta)
        return scaled


def er_sde(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    noise: StepNoise,
    s_noise: float = 1.0,
    noise_scaler: NoiseScaler = er_sde_5,
    max_stage: int = 3,
) -> Tensor:
    """VE ER-SDE-Solver of up to three stages. The step to 0 returns the prediction.

    It uses a Taylor expansion of the prediction in sigma, with derivatives from earlier steps.
    """
    levels = sigmas.tolist()
    previous: Tensor | None = None
    slope_previous: Tensor | None = None
    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        denoised = model(x, sigma)
        if sigma_next == 0:
            return denoised
        phi, phi_next = (float(p) for p in noise_scaler(numpy.array([sigma, sigma_next])))
        r = phi_next / phi
        x = r * x + (1 - r) * denoised

        if previous is not None and max_stage >= 2:
            step = sigma_next - sigma
            width = -step / _INTEGRATION_POINTS
            between = sigma_next + width * numpy.arange(_INTEGRATION_POINTS)
            inverse = width / noise_scaler(between)
            slope = (denoised - previous) / (sigma - levels[i - 1])
            x = x + (step + phi_next * float(inverse.sum())) * slope
            if slope_previous is not None and max_stage >= 3:
                curvature = (slope - slope_previous) / ((sigma - levels[i - 2]) / 2)
                moment = float(((between - sigma) * inverse).sum())
                x = x + (step**2 / 2 + phi_next * moment) * curvature
            slope_previous = slope

        added = max(sigma_next**2 - (sigma * r) ** 2, 0.0) ** 0.5
        if s_noise > 0 and added > 0:
            x = x + noise(sigma, sigma_next) * s_noise * added
        previous = denoised
    return x
