"""A network in a file: checks the shapes of its tensors, and makes the module that receives its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from nodes.models.checkpoint import Checkpoint, CheckpointError, Fingerprint
from nodes.models.storage import Storage

if TYPE_CHECKING:
    import torch

Config = TypeVar("Config")

_NAMED = 4
"""Number of tensors that a message names; it counts the others."""


@dataclass(frozen=True)
class StoredNetwork(Generic[Config]):
    """One network in one file: the tensors whose names start with ``prefix``.

    Plain data, compared and hashed by value. ``parameters`` is the number of scalars.
    """

    path: Path
    prefix: str
    fingerprint: Fingerprint
    config: Config
    parameters: int


@dataclass(frozen=True)
class Source(Generic[Config]):
    """One network in one precision on one device: the source of its weights, and the module that receives them.

    ``dtype`` is the precision of the computation; ``storage`` says which weights stay in memory in 8 bits (None: none).
    """

    weights: StoredNetwork[Config]
    build: Callable[[Config], torch.nn.Module]
    dtype: torch.dtype
    device: torch.device
    storage: Storage | None = None

    def skeleton(self) -> torch.nn.Module:
        """Return the network on the meta device. Raises CheckpointError if the file lacks a tensor."""
        from nodes.models.skeleton import without_values

        with without_values():
            module = self.build(self.weights.config)
        wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        check_shapes(Checkpoint.open(self.weights.path), self.weights.prefix, wanted)
        return module.requires_grad_(False).eval()

    def __str__(self) -> str:
        kind = getattr(self.build, "__name__", "network")
        stored = f", weights in {self.storage}" if self.storage not in (None, "default") else ""
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{kind} of {self.weights.path.name}, {dtype}{stored} on {self.device}"


def check_shapes(checkpoint: Checkpoint, prefix: str, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError, naming tensors, unless the file holds ``expected`` under ``prefix``.

    A linear layer may be stored as a 1x1 convolution, and vice versa.
    """
    missing = [prefix + name for name in expected if prefix + name not in checkpoint.shapes]
    if missing:
        raise CheckpointError(f"{checkpoint.path}: tensors are missing: {some_of(missing)}")
    misshapen = [
        f"{prefix + name} is {list(found)} instead of {list(shape)}"
        for name, shape in expected.items()
        if not _same_shape(found := checkpoint.shapes[prefix + name], shape)
    ]
    if misshapen:
        raise CheckpointError(f"{checkpoint.path}: tensors have the wrong shape: {some_of(misshapen)}")


def some_of(names: list[str]) -> str:
    """Join the first few of ``names``, with the number of others."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return found == wanted or (
        {len(found), len(wanted)} == {2, 4} and _without_kernel(found) == _without_kernel(wanted)
    )


def _without_kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape
