"""Guidance: the predictions of several sides joined into one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from torch import Tensor

from nodes.models.changes import GuidanceStep, Predictions, Step, around


def predict_sides(step: Step, *sides: str) -> Predictions:
    """The predictions of ``sides`` that guidance joins, made by the functions around them."""
    wanted = dataclasses.replace(step, conditions={name: step.conditions.get(name, ()) for name in sides})
    predictions: Predictions = around(step.changes.around_sides, wanted.predictor.predict)(wanted)
    return predictions


def guide(
    step: Step,
    predictions: Predictions,
    scale: float,
    *,
    toward: str = "positive",
    away: str = "negative",
    join: Callable[[GuidanceStep], Tensor] | None = None,
) -> Tensor:
    """The guided latent of ``predictions``, with the model's functions before, in place of and after guidance.

    ``join`` is the guidance where no function replaces it: classifier-free guidance by default.
    """
    changes = step.changes
    at = GuidanceStep(
        step.x,
        step.sigma,
        step.conditions,
        step.predictor,
        changes,
        step.denoiser,
        predictions,
        scale,
        toward,
        away,
    )
    for function in changes.before_guidance:
        at = dataclasses.replace(at, predictions=function(at))
    return after_guidance(at, (changes.guidance or join or classifier_free)(at))


def after_guidance(at: GuidanceStep, guided: Tensor) -> Tensor:
    """``guided`` after the model's functions for it."""
    for function in at.changes.after_guidance:
        guided = function(dataclasses.replace(at, guided=guided))
    return guided


def classifier_free(at: GuidanceStep) -> Tensor:
    """Classifier-free guidance (Ho & Salimans, arXiv:2207.12598): u + (c - u) · scale.

    A scale of 0 is unconditional, 1 conditional, more exaggerates the difference.
    """
    if at.away not in at.predictions:
        return at.conditional
    return at.unconditional + (at.conditional - at.unconditional) * at.scale


def classifier_free_step(step: Step, scale: float) -> Tensor:
    """Both sides predicted and guided; at a scale of 1 the negative one is predicted only if a change asks for it."""
    alone = math.isclose(scale, 1.0) and not step.changes.both_sides
    sides = ("positive",) if alone else ("positive", "negative")
    return guide(step, predict_sides(step, *sides), scale)


def perpendicular(negative: Tensor, positive: Tensor) -> Tensor:
    """The part of ``negative`` that is perpendicular to ``positive``, as vectors of all their elements."""
    return negative - positive * ((negative * positive).sum() / positive.norm() ** 2)
