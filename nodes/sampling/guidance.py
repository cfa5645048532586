"""Guidance: joins the predictions of several sides into one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from nodes.models.changes import GuidanceStep, Predictions, Step, around
from nodes.sampling.composition import is_composed


def predict_sides(step: Step, *sides: str) -> Predictions:
    """Predict ``sides`` for guidance, through the functions around this stage."""
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
    """Return the guided latent of ``predictions``, with the model's functions before, in place of and after guidance.

    ``join`` is the guidance unless a function replaces it; the default is classifier-free guidance.
    """
    at = GuidanceStep.of(step, predictions, scale, toward, away)
    for function in step.changes.before_guidance:
        at = dataclasses.replace(at, predictions=function(at))
    return joined(at, join)


def joined(at: GuidanceStep, join: Callable[[GuidanceStep], Tensor] | None = None) -> Tensor:
    """Return the guided latent of ``at``, with the model's functions in place of guidance and after it."""
    return after_guidance(at, (at.changes.guidance or join or classifier_free)(at))


def after_guidance(at: GuidanceStep, guided: Tensor) -> Tensor:
    """Apply the model's functions after guidance to ``guided``."""
    for function in at.changes.after_guidance:
        guided = function(dataclasses.replace(at, guided=guided))
    return guided


def classifier_free(at: GuidanceStep) -> Tensor:
    """Apply classifier-free guidance (Ho & Salimans, arXiv:2207.12598): u + (c - u) · scale.

    A scale of 0 is unconditional, 1 is conditional, and larger scales exaggerate the difference.
    """
    if at.away not in at.predictions:
        return at.conditional
    return at.unconditional + (at.conditional - at.unconditional) * at.scale


def classifier_free_step(step: Step, scale: float) -> Tensor:
    """Predict and guide both sides; at a scale of 1, the negative one is predicted only if it is needed.

    A change of the model may request it, and a positive side with weighted prompts is made from it.
    """
    needed = step.changes.both_sides or is_composed(step.conditions.get("positive", ()))
    alone = math.isclose(scale, 1.0) and not needed
    sides = ("positive",) if alone else ("positive", "negative")
    return guide(step, predict_sides(step, *sides), scale)


def perpendicular(negative: Tensor, positive: Tensor) -> Tensor:
    """Return the component of ``negative`` perpendicular to ``positive``, both as vectors of all elements.

    If ``positive`` is 0, that is ``negative`` itself; this holds for single items of a batch, too.
    """
    square = (positive * positive).sum()
    return negative - positive * torch.where(square > 0, (negative * positive).sum() / square, 0.0)
