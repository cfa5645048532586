"""What a sampler is given: a function from a noisy latent and its noise level to a clean one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

Sigma: TypeAlias = Tensor | float
"""A noise level: a number, or a tensor without dimensions on the CPU, so that reading it never waits for a GPU."""


class Denoiser(Protocol):
    """``model(x, sigma)``: the expected clean latent, given ``x`` [B, C, h, w] at noise level ``sigma``."""

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor: ...

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """The guided prediction and the unconditional one, which is computed whatever the guidance scale."""


class Observed:
    """Passes a model on, and tells ``on_step(step, steps, denoised)`` when a sampler reaches a new step.

    Which step it is follows from the noise level, so that samplers need not know that they are
    watched, and a sampler that takes its own steps (``dpm_adaptive``) is reported on as well.
    """

    def __init__(self, model: Denoiser, sigmas: Tensor, on_step: Callable[[int, int, Tensor], None]):
        self._model = model
        self._on_step = on_step
        self._sign = 1 if sigmas[0] < sigmas[-1] else -1
        self._levels = [self._sign * sigma for sigma in sigmas.tolist()[:-1]]
        self._reported = 0

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        denoised = self._model(x, sigma)
        self._report(sigma, denoised)
        return denoised

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        denoised, unconditional = self._model.with_unconditional(x, sigma)
        self._report(sigma, denoised)
        return denoised, unconditional

    def _report(self, sigma: Sigma, denoised: Tensor) -> None:
        # The tolerance is for samplers that compute sigma back from its logarithm.
        reached = bisect_right(self._levels, self._sign * float(sigma) + 1e-5 * float(sigma))
        self._reported = max(self._reported, reached)
        self._on_step(self._reported, len(self._levels), denoised)
