"""Functions that return a copy of a model's handle with one more change; the original handle is not modified."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from nodes.models.changes import Around, GuidanceStep, InsideChanges, NetworkCall, Step
from nodes.models.handle import Model


def with_changes(model: Model, **fields: Any) -> Model:
    """Return the model with the given fields replaced in its :class:`~nodes.models.changes.ModelChanges`."""
    return dataclasses.replace(model, changes=dataclasses.replace(model.changes, **fields))


def with_inside(model: Model, change: Callable[[InsideChanges], InsideChanges]) -> Model:
    """Return the model with ``change`` applied to the functions inside its network."""
    return with_changes(model, inside=change(model.changes.inside))


def before_guidance(model: Model, function: Callable[[GuidanceStep], Mapping[str, Any]]) -> Model:
    """Return the model with one more function that changes the predictions before guidance combines them."""
    return with_changes(model, before_guidance=(*model.changes.before_guidance, function))


def after_guidance(model: Model, function: Callable[[GuidanceStep], Any]) -> Model:
    """Return the model with one more function that changes the guided prediction."""
    return with_changes(model, after_guidance=(*model.changes.after_guidance, function))


def around_sides(model: Model, function: Around[Step, Any]) -> Model:
    """Return the model with one more wrapper around the predictions that guidance combines."""
    return with_changes(model, around_sides=(*model.changes.around_sides, function))


def around_denoise(model: Model, function: Around[NetworkCall, Any]) -> Model:
    """Return the model with one more wrapper around the calls of its network."""
    return with_changes(model, around_denoise=(*model.changes.around_denoise, function))
