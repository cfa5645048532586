"""Arithmetic of conditionings.

A conditioning is a list of entries ``[embedding, options]``: embedding [1, 77k, width] float32, options a
dict with ``pooled_output`` [1, width] and what says where and when the entry counts. Every function
returns new lists and dicts and leaves those it was given, and their tensors, as they are.
"""

from __future__ import annotations

import logging
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from graph.errors import SumiError

log = logging.getLogger(__name__)

Conditioning: TypeAlias = list[list[Any]]


class ConditioningError(SumiError):
    """Two conditionings do not go together; says how they differ."""


def zeroed(conditioning: Conditioning) -> Conditioning:
    """Embeddings and pooled outputs of zeros: what a model is told to be told nothing."""
    result = []
    for embedding, options in conditioning:
        pooled = options.get("pooled_output")
        zeros = {} if pooled is None else {"pooled_output": torch.zeros_like(pooled)}
        result.append([torch.zeros_like(embedding), {**options, **zeros}])
    return result


def concatenated(to: Conditioning, source: Conditioning) -> Conditioning:
    """Each entry of ``to`` with the tokens of the first entry of ``source`` behind its own.

    Raises ConditioningError if ``source`` is empty or of another width.
    """
    other, _ = _first(source, "ConditioningConcat")
    return [[torch.cat((embedding, _alike(other, embedding)), dim=1), dict(options)] for embedding, options in to]


def averaged(to: Conditioning, source: Conditioning, strength: float) -> Conditioning:
    """Each entry of ``to`` times ``strength`` plus the first entry of ``source`` times 1 - ``strength``.

    The embedding of ``source`` is cut, or filled up with zeros, to the length of that of ``to``. Pooled
    outputs are averaged alike; where only ``source`` has one, it is taken over.
    Raises ConditioningError if ``source`` is empty or of another width.
    """
    other, other_options = _first(source, "ConditioningAverage")
    other_pooled = other_options.get("pooled_output")
    result = []
    for embedding, options in to:
        missing = embedding.shape[1] - other.shape[1]
        fitted = functional.pad(_alike(other, embedding), (0, 0, 0, missing))  # cuts where negative
        options = dict(options)
        if other_pooled is not None:
            pooled = options.get("pooled_output")
            options["pooled_output"] = other_pooled if pooled is None else _blend(pooled, other_pooled, strength)
        result.append([_blend(embedding, fitted, strength), options])
    return result


def masked(conditioning: Conditioning, mask: Tensor, strength: float, crop: bool) -> Conditioning:
    """Entries that count where ``mask`` ([H, W] or [B, H, W], 0..1) is, times ``strength``.

    ``crop``: the model sees only the mask's bounding box.
    """
    return with_options(
        conditioning,
        mask=mask.unsqueeze(0) if mask.ndim < 3 else mask,
        mask_strength=strength,
        set_area_to_bounds=crop,
    )


def with_options(conditioning: Conditioning, **options: Any) -> Conditioning:
    """The same embeddings with ``options`` set."""
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
