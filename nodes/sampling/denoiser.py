"""The function that a sampler calls: it predicts the clean latent from a noisy one and its noise level."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
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
"""A noise level: a number, or a 0-dimensional tensor on the CPU, so that reading it never waits for a GPU."""


class UnconditionalError(SumiError):
    """A sampler needs the unconditional prediction, but its guider has none."""


class GuidedDenoiser:
    """A guider's predictions under the conditions of one run.

    ``resize(x)`` returns the conditions for latents of another size, for samplers that change the size.
    """

    def __init__(
        self,
        guider: Guider,
        predictor: Predictor,
        conditions: Mapping[str, list[Condition]],
        changes: ModelChanges,
        resize: Callable[[Tensor], Mapping[str, list[Condition]]] | None = None,
    ):
        self.guider = guider
        self.predictor = predictor
        self.conditions = conditions
        self.changes = changes
        self._resize = resize
        self._size: torch.Size | None = None

    def __call__(self, x: Tensor, sigma: Sigma | tuple[float, ...], changes: ModelChanges | None = None) -> Tensor:
        """Return the guided prediction; ``changes``, if given, replace the run's changes of the model.

        ``sigma`` may be one noise level for each item of ``x``.
        """
        changes = self.changes if changes is None else changes
        level = sigma if isinstance(sigma, tuple) else float(sigma)
        step = Step(x, level, self._conditions_for(x), self.predictor, changes, self)
        denoised: Tensor = around(changes.around_prediction, self.guider.predict)(step)
        return denoised

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Return the guided and the unconditional prediction. Raises UnconditionalError if the guider has none."""
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
        """Return a copy with other changes of the model."""
        return GuidedDenoiser(self.guider, self.predictor, self.conditions, changes, self._resize)

    def _conditions_for(self, x: Tensor) -> Mapping[str, list[Condition]]:
        size = x.shape[-2:]
        if self._size is not None and self._size != size and self._resize is not None:
            self.conditions = self._resize(x)
        self._size = size
        return self.conditions


class Observed:
    """Calls a denoiser and reports each prediction to ``on_step``, with the step that the sampler has reached.

    The step follows from the noise level, so samplers need not report progress, and a sampler that chooses its
    own steps (``dpm_adaptive``) is reported, too.
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
        # The tolerance is for samplers that compute sigma from its logarithm.
        reached = bisect_right(self._levels, self._sign * float(sigma) + 1e-5 * float(sigma))
        self._reported = max(self._reported, reached)
        self._on_step(StepDone(self._reported, len(self._levels), denoised, x, float(sigma)))


def once_a_step(report: OnStep, repeated: OnStep) -> OnStep:
    """An observer that calls ``report`` for the first prediction of each step and ``repeated`` for the others."""
    reported = 0

    def on_step(done: StepDone) -> None:
        nonlocal reported
        is_new = done.step != reported
        reported = done.step
        (report if is_new else repeated)(done)

    return on_step


__all__ = ["Denoiser", "GuidedDenoiser", "Observed", "Sigma", "UnconditionalError", "once_a_step"]
