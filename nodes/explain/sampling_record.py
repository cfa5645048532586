"""Records what a sampler sees at chosen steps of a run, without changing the run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from nodes.changes.adding import with_changes
from nodes.models.changes import Predictions, Run, Step, StepDone
from nodes.models.handle import Model

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedStep:
    """One prediction of a run, for the first picture of the batch: latents [C, h, w], float32 on the CPU, scaled.

    ``x`` is the noisy latent at noise level ``sigma``: clean + sigma · noise. ``denoised`` is the guided prediction of
    the clean latent, ``sides`` the prediction of each side, by name. ``step`` counts from 1.
    """

    step: int
    sigma: float
    x: Tensor
    denoised: Tensor
    sides: Mapping[str, Tensor]

    @property
    def noise(self) -> Tensor:
        """The noise that the prediction implies, (x - denoised) / sigma, of unit variance; 0 at a noise level of 0."""
        return (self.x - self.denoised) / self.sigma if self.sigma else self.x * 0

    @property
    def share_of_noise(self) -> float:
        """The noise's share of the variance of ``x``, 0..1, for clean latents of unit variance."""
        return self.sigma**2 / (self.sigma**2 + 1)

    @property
    def contrast(self) -> tuple[str, str] | None:
        """The names of the sides that guidance goes towards and moves away from; None if only one is predicted."""
        return _contrast(self.sides)


class SamplingRecord:
    """The recorded steps of a run, by number. ``wanted`` are the numbers of the steps to keep, from 1.

    A method may predict several times for a step. The prediction that counts is the last one at the step's own noise
    level: earlier ones may belong to the step before (the second prediction of Heun's method), and others lie between
    two levels. For methods that choose their own levels, it is the first prediction after the step's level.
    """

    def __init__(self, wanted: Collection[int]):
        self.steps: dict[int, RecordedStep] = {}
        self._wanted = wanted
        self._sides: Predictions = {}

    def attached_to(self, model: Model) -> Model:
        """Return ``model`` with functions that record its next run."""
        changes = model.changes
        return with_changes(
            model,
            around_run=(self._around_run, *changes.around_run),
            around_sides=(self._around_sides, *changes.around_sides),
        )

    def _around_run(self, proceed: Callable[[Run], Any], run: Run) -> Any:
        levels = run.sigmas.tolist()
        report = run.on_step

        def on_step(done: StepDone) -> None:
            if done.step in self._wanted:
                level = levels[done.step - 1] if done.step <= len(levels) else math.nan
                if math.isclose(done.sigma, level, rel_tol=1e-4) or done.step not in self.steps:
                    self._record(done)
            self._sides = {}
            if report is not None:
                report(done)

        return proceed(dataclasses.replace(run, on_step=on_step))

    def _around_sides(self, proceed: Callable[[Step], Predictions], step: Step) -> Predictions:
        self._sides = proceed(step)
        return self._sides

    def _record(self, done: StepDone) -> None:
        sides = {name: _first(latent) for name, latent in self._sides.items()}
        self.steps[done.step] = RecordedStep(done.step, done.sigma, _first(done.x), _first(done.denoised), sides)


def _first(latents: Tensor) -> Tensor:
    return latents[0].detach().float().cpu().clone()


def _contrast(sides: Mapping[str, Any]) -> tuple[str, str] | None:
    toward = "positive" if "positive" in sides else next(iter(sides), "")
    others = [name for name in sides if name != toward]
    if not others:
        return None
    return toward, "negative" if "negative" in others else others[-1]
