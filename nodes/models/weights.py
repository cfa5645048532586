"""Weights as handles hold them: a network in a file, loaded when it is first needed."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from nodes.models.checkpoint import Checkpoint
from nodes.models.stored_network import Config, Source, StoredNetwork, check_shapes, some_of

if TYPE_CHECKING:
    import torch

    from nodes.models.weight_patches import WeightPatch

    Module = TypeVar("Module", bound=torch.nn.Module)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights(StoredNetwork[Config]):
    """The weights of one network. Two loaders that name the same file share the loaded module."""

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
