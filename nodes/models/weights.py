"""Where a network's weights lie in a file, and how they become a module."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
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
        """The module ``build(config)`` with these weights and ``patches`` of them, loaded now or before.

        Raises CheckpointError, WeightPatchError as :func:`load` does.
        """
        from nodes.models import residency

        key = (self, build, dtype, device, patches)
        nbytes = self.parameters * dtype.itemsize
        loaded = residency.resident(key, lambda: load(self, build, dtype, device, patches), nbytes, device)
        return cast("Module", loaded)


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


def load(
    weights: Weights[Config],
    build: Callable[[Config], Module],
    dtype: torch.dtype,
    device: torch.device,
    patches: Sequence[WeightPatch] = (),
) -> Module:
    """The module ``build(config)`` with its weights, patched and converted tensor by tensor.

    The module is made without memory (on the meta device) and receives each converted tensor
    as it is: the peak is the converted weights plus one tensor. Convolution kernels are laid
    out channels-last. Raises CheckpointError if the file changed since it was examined, lacks
    a tensor, or holds NaN or infinity; WeightPatchError if a patch does not fit its tensor.
    """
    import torch

    from nodes.models.weight_patches import by_name

    checkpoint = Checkpoint.open(weights.path)
    if checkpoint.fingerprint != weights.fingerprint:
        raise CheckpointError(f"{weights.path}: has changed since the workflow named it; run the workflow again")
    with torch.device("meta"):
        module = build(weights.config)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    check_shapes(checkpoint, weights.prefix, wanted)
    changes = by_name(patches) if patches else {}
    state = {
        name: _converted(checkpoint, weights.prefix + name, shape, dtype, device, changes.get(name, ()))
        for name, shape in wanted.items()
    }
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False).eval()


def _converted(
    checkpoint: Checkpoint,
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
    patches: Sequence[WeightPatch],
) -> torch.Tensor:
    import torch

    source = checkpoint.tensor(name).reshape(shape)
    if patches:
        from nodes.models.weight_patches import patched

        source = patched(source, patches)
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    # Made first and copied into, so that not even a tensor that needs no conversion stays mapped.
    tensor = torch.empty(shape, dtype=dtype, device=device, memory_format=layout)
    tensor.copy_(source)
    if tensor.numel() and not all(math.isfinite(bound) for bound in torch.aminmax(tensor)):
        what = "holds NaN or infinity" if not source.float().isfinite().all() else f"does not fit {dtype}"
        what += " once patched" if patches else ""
        raise CheckpointError(f"{checkpoint.path}: tensor '{name}' {what}")
    return tensor


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
