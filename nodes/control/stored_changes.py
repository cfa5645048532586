"""Weight patches that are read from files when they are applied, so that they take no memory before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nodes.models.checkpoint import Fingerprint
from nodes.models.open_files import opened
from nodes.models.stored_network import StoredNetwork
from nodes.models.weight_changes import Difference, LowRank, Replacement
from nodes.models.weight_patches import WeightPatch, patched


@dataclass(frozen=True)
class ModelWeight:
    """Adds the model's weight of the same name, with its patches, to the weight."""

    weights: StoredNetwork[Any]
    name: str
    patches: tuple[WeightPatch, ...] = ()

    @property
    def tensors(self) -> Sequence[Tensor]:
        return ()

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        stored = _tensor(self.weights.fingerprint, self.weights.prefix + self.name)
        return Difference(patched(stored, self.patches))(weight, strength)


@dataclass(frozen=True)
class StoredLowRank:
    """Adds the product of two matrices in a file: ``up`` [out, rank, …] and ``down`` [rank, in, …]."""

    file: Fingerprint
    up: str
    down: str

    @property
    def tensors(self) -> Sequence[Tensor]:
        return ()

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return LowRank(_tensor(self.file, self.up), _tensor(self.file, self.down))(weight, strength)


@dataclass(frozen=True)
class StoredReplacement:
    """Replaces the weight with a tensor of a file."""

    file: Fingerprint
    name: str

    @property
    def tensors(self) -> Sequence[Tensor]:
        return ()

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return Replacement(_tensor(self.file, self.name))(weight, strength)


def _tensor(file: Fingerprint, name: str) -> Tensor:
    return opened(Path(file.path), file).tensor(name)
