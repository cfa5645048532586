"""Combines and changes conditionings.

A conditioning is a list of entries ``[embedding, options]``: embedding [1, 77k, width] float32, options a
dict with ``pooled_output`` [1, width], and the area, the strength and the steps of the entry. Every function
returns new lists and dicts, and changes neither its arguments nor their tensors.
"""

from __future__ import annotations

import logging
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from graph.errors import SumiError
from nodes.resize import resize

log = logging.getLogger(__name__)

Conditioning: TypeAlias = list[list[Any]]


class ConditioningError(SumiError):
    """Two conditionings cannot be combined. The message says how they differ."""


def zeroed(conditioning: Conditioning) -> Conditioning:
    """Replace embeddings and pooled outputs with zeros."""
    result = []
    for embedding, options in conditioning:
        pooled = options.get("pooled_output")
        zeros = {} if pooled is None else {"pooled_output": torch.zeros_like(pooled)}
        result.append([torch.zeros_like(embedding), {**options, **zeros}])
    return result


def concatenated(to: Conditioning, source: Conditioning) -> Conditioning:
    """Append the tokens of the first entry of ``source`` to each entry of ``to``.

    Raises ConditioningError if ``source`` is empty or has another width.
    """
    other, _ = _first(source, "ConditioningConcat")
    return [[torch.cat((embedding, _alike(other, embedding)), dim=1), dict(options)] for embedding, options in to]


def averaged(to: Conditioning, source: Conditioning, strength: float) -> Conditioning:
    """Average each entry of ``to``, with weight ``strength``, and the first entry of ``source``, with 1 - ``strength``.

    The embedding of ``source`` is cut, or padded with zeros, to the length of the embedding of ``to``. Pooled outputs
    are averaged too; an entry without one gets that of ``source``.
    Raises ConditioningError if ``source`` is empty or of another width.
    """
    other, other_options = _first(source, "ConditioningAverage")
    other_pooled = other_options.get("pooled_output")
    result = []
    for embedding, options in to:
        missing = embedding.shape[1] - other.shape[1]
        fitted = functional.pad(_alike(other, embedding), (0, 0, 0, missing))  # a negative number cuts
        options = dict(options)
        if other_pooled is not None:
            pooled = options.get("pooled_output")
            options["pooled_output"] = other_pooled if pooled is None else _blend(pooled, other_pooled, strength)
        result.append([_blend(embedding, fitted, strength), options])
    return result


def masked(conditioning: Conditioning, mask: Tensor, strength: float, crop: bool) -> Conditioning:
    """Limit the entries to ``mask`` ([H, W] or [B, H, W], 0..1), with ``strength``.

    ``crop``: the model gets only the mask's bounding box.
    """
    return with_options(
        conditioning,
        mask=mask.unsqueeze(0) if mask.ndim < 3 else mask,
        mask_strength=strength,
        set_area_to_bounds=crop,
    )


def with_picture(conditioning: Conditioning, picture: Any, strength: float, noise_augmentation: float) -> Conditioning:
    """Add a picture, a ``nodes.vision.handle.ClipVisionOutput``, to the entries, in addition to earlier ones."""
    added = {"clip_vision_output": picture, "strength": strength, "noise_augmentation": noise_augmentation}
    return [
        [embedding, {**options, "unclip_conditioning": [*options.get("unclip_conditioning", ()), added]}]
        for embedding, options in conditioning
    ]


def picture_to_enlarge(images: Tensor, ratio: float) -> Tensor:
    """Convert pictures [B, H, W, C], 0..1, for a 4× upscaler that enlarges them ``ratio`` times.

    Returns [B, 3, H · ratio / 4, W · ratio / 4], -1..1. Raises SizeError if the result would be empty.
    """
    height, width = (max(1, round(side * ratio)) // 4 for side in images.shape[1:3])
    return resize(images[..., :3].movedim(-1, 1) * 2.0 - 1.0, width, height, "bilinear", "center")


def with_options(conditioning: Conditioning, **options: Any) -> Conditioning:
    """Set ``options`` of every entry."""
    return [[embedding, {**old, **options}] for embedding, old in conditioning]


def _first(conditioning: Conditioning, node: str) -> tuple[Tensor, dict[str, Any]]:
    if not conditioning:
        raise ConditioningError(f"{node}: conditioning_from has no entries; expected at least one")
    if len(conditioning) > 1:
        log.warning("%s: conditioning_from has %d entries; the first one is used", node, len(conditioning))
    embedding, options = conditioning[0]
    return embedding, options


def _alike(other: Tensor, embedding: Tensor) -> Tensor:
    if other.shape[-1] != embedding.shape[-1]:
        raise ConditioningError(
            f"the embeddings are {embedding.shape[-1]} and {other.shape[-1]} wide: "
            "they come from different text encoders; expected both from the same model's CLIP"
        )
    return other.to(embedding)


def _blend(to: Tensor, source: Tensor, strength: float) -> Tensor:
    return to * strength + source.to(to) * (1.0 - strength)
