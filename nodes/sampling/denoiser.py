"""The function that a sampler calls: it predicts the clean latent from a noisy one and its noise level."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import Tensor

from graph.errors import SumiError
from nodes.models.changes import (
    Denoiser,
    GuidanceStep,
    Guider,
    ModelChanges,
    OnStep,
    Predictor,
    Step,
    StepDone,
    around,
)
from nodes.sampling.conditions import Condition

Sigma: TypeAlias = Tensor | float
"""A noise level: a number, or a tensor without dimensions on the CPU, so that reading it never waits for a GPU."""


class UnconditionalError(SumiError):
    """A sampler needs the unconditional prediction, and its guider has none."""


class GuidedDenoiser:
    """A guider's predictions under the conditions of one run."""

    def __init__(
        self,
        guider: Guider,
        predictor: Predictor,
        conditions: Mapping[str, list[Condition]],
        changes: ModelChanges,
    ):
        self.guider = guider
        self.predictor = predictor
        self.conditions = conditions
        self.changes = changes

    def __call__(self, x: Tensor, sigma: Sigma | tuple[float, ...], changes: ModelChanges | None = None) -> Tensor:
        """The guided prediction, with other changes of the model than the run's if given.

        ``sigma`` may be one noise level for each item of ``x``.
        """
        changes = self.changes if changes is None else changes
        level = sigma if isinstance(sigma, tuple) else float(sigma)
        step = Step(x, level, self.conditions, self.predictor, changes, self)
        denoised: Tensor = around(changes.around_prediction, self.guider.predict)(step)
        return denoised

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """The guided prediction and the unconditional one. Raises UnconditionalError if the guider has none."""
        seen: list[Tensor] = []

        def note(step: GuidanceStep) -> Tensor:
            if step.away in step.predictions:
                seen.append(step.unconditional)
            assert step.guided is not None
            return step.guided

        after = (*self.changes.after_guidance, note)
        denoised = self(x, sigma, dataclasses.replace(self.changes, after_guidance=after, both_sides=True))
        if not seen:
            raise UnconditionalError(
                "this sampler needs the unconditional prediction, and the guider that it runs with gives none; "
                "choose a sampler without cfg_pp in its name"
            )
        return denoised, seen[-1]

    def with_changes(self, changes: ModelChanges) -> GuidedDenoiser:
        """A copy with other changes of the model."""
        return GuidedDenoiser(self.guider, self.predictor, self.conditions, changes)


class Observed:
    """Passes a denoiser on, and calls ``on_step`` after each prediction with the step that a sampler has reached.

    The step follows from the noise level, so that samplers need not know that they are observed, and a sampler
    that chooses its own steps (``dpm_adaptive``) is reported on as well.
    """

    def __init__(self, model: Denoiser, sigmas: Tensor, on_step: OnStep):
        self._model = model
        self._on_step = on_step
        self._sign = 1 if sigmas[0] < sigmas[-1] else -1
        self._levels = [self._sign * sigma for sigma in sigmas.tolist()[:-1]]
        self._reported = 0

    def __call__(self, x: Tensor, sigma: Sigma, *more: Any) -> Tensor:
        denoised = self._model(x, sigma, *more)
        self._report(x, sigma, denoised)
        return denoised

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        denoised, unconditional = self._model.with_unconditional(x, sigma)
        self._report(x, sigma, denoised)
        return denoised, unconditional

    def _report(self, x: Tensor, sigma: Sigma, denoised: Tensor) -> None:
        # The tolerance is for samplers that compute sigma back from its logarithm.
        reached = bisect_right(self._levels, self._sign * float(sigma) + 1e-5 * float(sigma))
        self._reported = max(self._reported, reached)
        self._on_step(StepDone(self._reported, len(self._levels), denoised, x, float(sigma)))


__all__ = ["Denoiser", "GuidedDenoiser", "Observed", "Sigma", "UnconditionalError"]
