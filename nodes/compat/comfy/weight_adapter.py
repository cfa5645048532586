"""``comfy.weight_adapter``: changes of a weight, as packs describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.lora.layer_changes import MAGNITUDE, algorithm_of
from nodes.lora.layer_changes import change_of as of_file
from nodes.models.weight_changes import Change, Difference, LowRank, Renormalized, Replacement
from nodes.models.weight_patches import WeightPatch, WeightPatchError, patched


class WeightAdapterBase:
    """A change that is made of several tensors."""

    name: str
    loaded_keys: set[str]
    weights: Any


class LoRAAdapter(WeightAdapterBase):
    """LoRA. ``weights``: up, down, alpha, the core of a convolution or None, DoRA's magnitude or None, …"""

    name = "lora"

    def __init__(self, loaded_keys: set[str], weights: Sequence[Any]):
        self.loaded_keys = loaded_keys
        self.weights = weights

    def calculate_weight(
        self,
        weight: Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Any,
        intermediate_dtype: torch.dtype = torch.float32,
        original_weight: Tensor | None = None,
    ) -> Tensor:
        """``weight`` changed."""
        change = change_of(key, self)
        return WeightPatch(key, change, strength, strength_model, offset, function)(weight.to(torch.float32)).to(weight)


class FileAdapter(WeightAdapterBase):
    """A change by the tensors of one layer in a LoRA file of another kind than LoRA: LoHa, LoKr, GLoRA, OFT …

    ``weights`` are its tensors by the endings of their names.
    """

    def __init__(self, loaded_keys: set[str], weights: Mapping[str, Tensor], alpha: float | None):
        self.name = algorithm_of(weights).name.lower()
        self.loaded_keys = loaded_keys
        self.weights = weights
        self.alpha = alpha


def adapter_of(loaded_keys: set[str], tensors: Mapping[str, Tensor], alpha: float | None) -> WeightAdapterBase:
    """Return the adapter of one layer's tensors, by the endings of their names. Raises LoraError if they form none."""
    if algorithm_of(tensors).name != "LoRA":
        return FileAdapter(loaded_keys, tensors, alpha)
    up, down = tensors["lora_up.weight"], tensors["lora_down.weight"]
    weights = (up, down, alpha, tensors.get("lora_mid.weight"), tensors.get(MAGNITUDE), None)
    return LoRAAdapter(loaded_keys, weights)


@dataclass(frozen=True, eq=False)
class _OtherModel:
    """Adds another model's weight, with that model's changes."""

    tensor: Tensor
    patches: tuple[WeightPatch, ...]

    @property
    def tensors(self) -> Sequence[Tensor]:
        return [self.tensor, *(tensor for patch in self.patches for tensor in patch.change.tensors)]

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return weight + strength * patched(self.tensor.to(weight.device), self.patches).reshape(weight.shape)


def change_of(name: str, value: Any) -> Change:
    """Return the change that ``value`` describes. Raises WeightPatchError for a kind that is not known."""
    if callable(value) and hasattr(value, "tensors"):
        return value
    if isinstance(value, list):
        return _of_another_model(name, value)
    if isinstance(value, FileAdapter):
        return of_file(value.weights, value.alpha)
    if isinstance(value, WeightAdapterBase):
        kind, tensors = value.name, value.weights
    elif isinstance(value, tuple) and len(value) == 1:
        kind, tensors = "diff", value
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        kind, tensors = value
    else:
        raise WeightPatchError(
            f"a patch of '{name}' is a {type(value).__name__}; expected a tuple of a kind and tensors"
        )
    if kind == "diff":
        return Difference(tensors[0])
    if kind == "set":
        return Replacement(tensors[0])
    if kind == "lora":
        up, down, alpha, middle, magnitude = (*tensors, None, None, None)[:5]
        change: Change = LowRank(up, down, None if alpha is None else float(alpha), middle)
        return change if magnitude is None else Renormalized(change, magnitude)
    raise WeightPatchError(
        f"a patch of '{name}' is of the kind '{kind}', which Sumi does not have; expected diff, set or lora"
    )


def _of_another_model(name: str, value: list[Any]) -> Change:
    """Return the change by another model's ``get_key_patches``: its tensor, a conversion if any, and its changes."""
    first, *changes = value
    tensor, convert = first if isinstance(first, tuple) else (first, None)
    if convert is not None:
        tensor = convert(tensor)
    patches = tuple(
        WeightPatch(name, change_of(name, change), strength, scale, part, transform)
        for strength, change, scale, part, transform in (_five(change) for change in changes)
    )
    return _OtherModel(tensor, patches)


def _five(change: Sequence[Any]) -> tuple[Any, ...]:
    """Strength, change, scale, part and function; the last two may be missing."""
    return (*change, None, None)[:5]
