"""Guidance in a part of the run: elsewhere only the positive prompt is predicted, which takes half the time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

from nodes.changes.run_position import RunPosition, kept_in
from nodes.changes.step_caches import Window
from nodes.models.changes import Predictions, Step

POSITIVE: Final = "positive"
NEGATIVE: Final = "negative"

Proceed = Callable[[Step], Predictions]


def unguided(proceed: Proceed, step: Step) -> Predictions:
    """Predict the positive side, and give its prediction to every other side, so that they cancel in any guidance."""
    sides = tuple(step.conditions)
    if POSITIVE not in sides or len(sides) == 1:
        return proceed(step)
    alone = proceed(dataclasses.replace(step, conditions={POSITIVE: step.conditions[POSITIVE]}))
    return dict.fromkeys(sides, alone[POSITIVE])


@dataclass(frozen=True)
class GuidanceInterval:
    """Guide only at noise levels in a window. Kynkäänniemi et al., arXiv:2404.07724. Add it around the sides."""

    window: Window

    def __call__(self, proceed: Proceed, step: Step) -> Predictions:
        return proceed(step) if self.window.holds(step.level) else unguided(proceed, step)


@dataclass
class _Kept:
    position: RunPosition = field(default_factory=RunPosition)
    agree: bool = False


@dataclass(frozen=True, eq=False)
class AdaptiveGuidance:
    """Guide until positive and negative prediction agree, as in Castillo et al., arXiv:2312.12487, section 5.

    They agree once the difference of the clean latents c and u, √(mean (c - u)² / mean c²), is below ``threshold`` for
    every item of the batch. The paper compares the predicted noises, but at the strongest noise both are nearly the
    noisy latent itself and agree, too. Add it around the sides.
    """

    threshold: float

    def __call__(self, proceed: Proceed, step: Step) -> Predictions:
        kept = kept_in(step.predictor, self, _Kept)
        if kept.position.begin(step):
            kept.agree = False
        if kept.agree:
            return unguided(proceed, step)
        predictions = proceed(step)
        if POSITIVE in predictions and NEGATIVE in predictions:
            apart = relative_difference(predictions[NEGATIVE], predictions[POSITIVE])
            kept.agree = bool((apart < self.threshold).all())
        return predictions


def relative_difference(one: Tensor, other: Tensor) -> Tensor:
    """Return the norm of ``one`` - ``other`` relative to that of ``other`` for each item of [B, C, h, w], as [B]."""
    return (one - other).flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)
