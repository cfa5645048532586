"""Where a network's weights lie in a file, and how they become a module."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from nodes.models.checkpoint import Checkpoint, CheckpointError, Fingerprint

if TYPE_CHECKING:
    import torch

    from nodes.models.weight_patches import WeightPatch

    Module = TypeVar("Module", bound=torch.nn.Module)

Config = TypeVar("Config")

log = logging.getLogger(__name__)

_NAMED = 4
"""How many tensors a message names before it counts the rest."""


@dataclass(frozen=True)
class Weights(Generic[Config]):
    """One network in one file: the tensors whose names start with ``prefix``.

    Plain data, compared and hashed by value: two loaders that name the same file share the
    loaded module. ``parameters`` is the number of scalars.
    """

    path: Path
    prefix: str
    fingerprint: Fingerprint
    config: Config
    parameters: int

    def resident(
        self,
        build: Callable[[Config], Module],
        dtype: torch.dtype,
        device: torch.device,
        patches: tuple[WeightPatch, ...] = (),
    ) -> Module:
        """The module ``build(config)`` with these weights and ``patches`` of them. Treat it as read-only.

        It shares every layer that ``patches`` do not concern with the network without them, and works as long as
        anybody holds it. Layers for which memory does not suffice are read for each call.
        Raises CheckpointError if the file changed since it was examined, lacks a tensor, or holds NaN or infinity;
        WeightPatchError if a patch names no tensor of the network or does not fit it.
        """
        from nodes.models import residency

        return cast("Module", residency.resident(Source(self, build, dtype, device), patches))


@dataclass(frozen=True)
class Source(Generic[Config]):
    """One network in one precision on one device: what its weights are read from, and what they are put into."""

    weights: Weights[Config]
    build: Callable[[Config], torch.nn.Module]
    dtype: torch.dtype
    device: torch.device

    def skeleton(self) -> torch.nn.Module:
        """The network on the meta device. Raises CheckpointError if the file lacks any of its tensors."""
        import torch

        with torch.device("meta"):
            module = self.build(self.weights.config)
        wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        check_shapes(Checkpoint.open(self.weights.path), self.weights.prefix, wanted)
        return module.requires_grad_(False).eval()

    def __str__(self) -> str:
        kind = getattr(self.build, "__name__", "network")
        return f"{kind} of {self.weights.path.name}, {str(self.dtype).removeprefix('torch.')} on {self.device}"


def weights_at(
    checkpoint: Checkpoint,
    prefix: str,
    config: Config,
    expected: Mapping[str, tuple[int, ...]],
    optional: Callable[[str], bool] = lambda name: False,
) -> Weights[Config]:
    """The network under ``prefix``, its names and shapes held against ``expected`` (without prefix).

    Tensors that ``optional`` knows may be there or not. Others that are left over are said in the log.
    Raises CheckpointError naming missing and misshapen tensors.
    """
    check_shapes(checkpoint, prefix, expected)
    own = (name.removeprefix(prefix) for name in checkpoint.shapes if name.startswith(prefix))
    surplus = [prefix + name for name in own if name not in expected and not optional(name)]
    if surplus:
        log.warning("%s: tensors that are not used: %s", checkpoint.path, some_of(surplus))
    parameters = sum(math.prod(shape) for shape in expected.values())
    return Weights(checkpoint.path, prefix, checkpoint.fingerprint, config, parameters)


def check_shapes(checkpoint: Checkpoint, prefix: str, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError, naming tensors, unless the file holds ``expected`` under ``prefix``.

    A linear layer may be written as a 1x1 convolution and the other way round.
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
    """The first few of ``names`` and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return found == wanted or (
        {len(found), len(wanted)} == {2, 4} and _without_kernel(found) == _without_kernel(wanted)
    )


def _without_kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape
