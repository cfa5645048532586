"""Patches that multiply attention weights, to strengthen or weaken queries, keys, values or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from nodes.models.weight_patches import WeightPatch


@dataclass(frozen=True)
class Unchanged:
    """Returns a weight unchanged, for a patch that only scales it."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Return an empty tuple: the patch keeps no tensors."""
        return ()

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        """Return ``weight``."""
        return weight


def scaled(names: Iterable[str], factors: Mapping[str, float]) -> tuple[WeightPatch, ...]:
    """Return patches that multiply each tensor of ``names`` by a factor chosen by the ending of its name.

    The keys of ``factors`` are endings of module paths (``attn1.to_q``); a module's weight and bias are both
    multiplied. The first matching ending is used. A factor of 1 makes no patch.
    """
    patches = []
    for name in names:
        module, _, tensor = name.rpartition(".")
        factor = next((factor for ending, factor in factors.items() if f".{module}".endswith(f".{ending}")), 1.0)
        if tensor in ("weight", "bias") and factor != 1.0:
            patches.append(WeightPatch(name, Unchanged(), scale=factor))
    return tuple(patches)
