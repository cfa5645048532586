"""``comfy.lora``: changes of weights, applied by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.compat.comfy.weight_adapter import change_of
from nodes.models.weight_patches import WeightPatch

_MISSING: tuple[Any, ...] = (1.0, None, 1.0, None, None)


def calculate_weight(
    patches: Sequence[Any],
    weight: Tensor,
    key: str,
    intermediate_dtype: torch.dtype = torch.float32,
    original_weights: Any = None,
) -> Tensor:
    """``weight`` after ``patches``, each (strength, change, scale, part, function). Raises WeightPatchError."""
    for patch in patches:
        strength, change, scale, part, function = (*tuple(patch), *_MISSING[len(patch) :])
        made = WeightPatch(key, change_of(key, change), strength, scale, part, function)
        weight = made(weight.to(intermediate_dtype))
    return weight
