"""Merges two models of one kind, weight by weight: the result is the first, with patches that refer to the second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from graph.errors import SumiError
from nodes.merging.other_weights import Mixture, OtherWeight, Sum
from nodes.models.handle import Clip, Model, TextEncoder
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.weight_patches import WeightPatch, by_name

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
Ratio: TypeAlias = Callable[[str], float]
"""Function that returns the share of the first model, 0..1, in the tensor of a given name."""


class MergeError(SumiError):
    """Two models cannot be merged. The message names both and how they differ."""


@dataclass(frozen=True)
class Merged:
    """The merged model, and the names of the tensors that were kept because the second model's have another shape."""

    model: Model
    kept: tuple[str, ...]


def mixed(model1: Model, model2: Model, ratio: Ratio) -> Merged:
    """Mix ``ratio`` of ``model1`` with the rest of ``model2``. Raises MergeError if the networks differ."""
    return _merged(model1, model2, lambda name, other: _mixture(name, other, ratio(name)))


def added(model1: Model, model2: Model) -> Merged:
    """Add ``model2``'s weights, usually a difference of two models. Raises MergeError if the networks differ."""
    return _merged(model1, model2, lambda name, other: WeightPatch(name, Sum(other)))


def subtracted(model1: Model, model2: Model, multiplier: float) -> Merged:
    """Return ``multiplier`` times the difference of the weights. Raises MergeError if the networks differ."""
    return _merged(model1, model2, lambda name, other: WeightPatch(name, Sum(other), -multiplier, multiplier))


def mixed_clip(clip1: Clip, clip2: Clip, ratio: float) -> Clip:
    """Mix ``ratio`` of ``clip1`` with the rest of ``clip2``. Raises MergeError if the text encoders differ."""
    return _merged_clip(clip1, clip2, lambda name, other: _mixture(name, other, ratio))


def added_clip(clip1: Clip, clip2: Clip) -> Clip:
    """Add the weights of both. Raises MergeError if the text encoders differ."""
    return _merged_clip(clip1, clip2, lambda name, other: WeightPatch(name, Sum(other)))


def subtracted_clip(clip1: Clip, clip2: Clip, multiplier: float) -> Clip:
    """Return ``multiplier`` times the difference of the weights. Raises MergeError if the text encoders differ."""
    return _merged_clip(clip1, clip2, lambda name, other: WeightPatch(name, Sum(other), -multiplier, multiplier))


def ratio_by_block(ratios: Mapping[str, float]) -> Ratio:
    """Return a function that picks the ratio with the longest matching name prefix, or the first if none matches."""
    first = next(iter(ratios.values()))

    def of(name: str) -> float:
        fitting = [key for key in ratios if name.startswith(key)]
        return ratios[max(fitting, key=len)] if fitting else first

    return of


_Patch: TypeAlias = Callable[[str, OtherWeight], "WeightPatch | None"]


def _mixture(name: str, other: OtherWeight, ratio: float) -> WeightPatch | None:
    return None if ratio == 1.0 else WeightPatch(name, Mixture(other), 1.0 - ratio)


def _merged(model1: Model, model2: Model, patch: _Patch) -> Merged:
    ours, theirs = unet_shapes(model1.config), unet_shapes(model2.config)
    # Inpainting models have more input channels than the models that they are merged with.
    if replace(model2.config, in_channels=model1.config.in_channels) != model1.config:
        raise MergeError(
            f"{model1.weights.path.name} and {model2.weights.path.name} are different networks "
            f"({model1.family.label} and {model2.family.label}); expected two models of one family"
        )
    kept = tuple(name for name, shape in ours.items() if theirs.get(name) != shape)
    patches = _patches(model2, {name: shape for name, shape in ours.items() if name not in kept}, patch)
    return Merged(replace(model1, patches=(*model1.patches, *patches)), kept)


def _merged_clip(clip1: Clip, clip2: Clip, patch: _Patch) -> Clip:
    encoders = []
    for encoder in clip1.encoders:
        other = next((each for each in clip2.encoders if each.role.name == encoder.role.name), None)
        if other is None or other.config != encoder.config:
            kinds = " and ".join(each.role.kind for each in clip2.encoders)
            raise MergeError(
                f"clip1 has {encoder.role.kind} ({encoder.config.width} wide, {encoder.config.layers} layers), "
                f"clip2 {kinds}; expected the same text encoders"
            )
        patches = _patches(other, text_shapes(encoder.config), patch)
        encoders.append(replace(encoder, patches=(*encoder.patches, *patches)))
    return replace(clip1, encoders=tuple(encoders))


def _patches(other: Model | TextEncoder, shapes: Shapes, patch: _Patch) -> list[WeightPatch]:
    own = by_name(other.patches)
    weights: Any = other.weights
    made = (patch(name, OtherWeight(weights, name, tuple(own.get(name, ())))) for name in shapes)
    return [each for each in made if each is not None]
