"""Patches that use another model's weights, which are read from that model's file when a weight is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.models.open_files import opened
from nodes.models.stored_network import StoredNetwork
from nodes.models.weight_patches import WeightPatch, patched


@dataclass(frozen=True)
class OtherWeight:
    """The tensor ``name`` of a network in a file, with ``patches`` applied to it. Compared by value."""

    weights: StoredNetwork[Any]
    name: str
    patches: tuple[WeightPatch, ...]

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Return the tensors that the patches keep in memory."""
        return [tensor for patch in self.patches for tensor in patch.change.tensors]

    def read(self) -> Tensor:
        """Return the weight as float32 on the CPU. Raises CheckpointError if the file changed."""
        checkpoint = opened(self.weights.path, self.weights.fingerprint)
        return patched(checkpoint.tensor(self.weights.prefix + self.name), self.patches)


@dataclass(frozen=True)
class Mixture:
    """Moves the weight towards another one: strength 0 keeps it, 1 replaces it.

    A mixture of equal weights is bit-identical to that weight.
    """

    other: OtherWeight

    @property
    def tensors(self) -> Sequence[Tensor]:
        return self.other.tensors

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        other = self.other.read().to(weight).reshape(weight.shape)
        return torch.lerp(weight, other, strength)


@dataclass(frozen=True)
class Sum:
    """Adds another weight, times the strength."""

    other: OtherWeight

    @property
    def tensors(self) -> Sequence[Tensor]:
        return self.other.tensors

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return torch.add(weight, self.other.read().to(weight).reshape(weight.shape), alpha=strength)
