"""The weights in handles: a network in a file, loaded when it is first needed."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from nodes.models.checkpoint import Checkpoint
from nodes.models.storage import Storage
from nodes.models.stored_network import Config, Source, StoredNetwork, check_shapes, some_of

if TYPE_CHECKING:
    import torch

    from nodes.models.weight_patches import WeightPatch

    Module = TypeVar("Module", bound=torch.nn.Module)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights(StoredNetwork[Config]):
    """The weights of one network. Loaders that name the same file share the loaded module."""

    def resident(
        self,
        build: Callable[[Config], Module],
        dtype: torch.dtype,
        device: torch.device,
        patches: tuple[WeightPatch, ...] = (),
        storage: Storage | None = None,
    ) -> Module:
        """Return the module ``build(config)`` with these weights and ``patches``. Treat it as read-only.

        It shares every layer that ``patches`` do not change with the unpatched network, and stays usable while it is
        referenced. Layers that do not fit in memory are read for each call. With a ``storage``, weights may stay in
        memory in 8 bits; each layer converts its own to ``dtype`` for a call.
        Raises CheckpointError if the file changed since it was opened, lacks a tensor, or holds NaN or infinity;
        WeightPatchError if a patch names no tensor of the network or does not fit it.
        """
        from nodes.models import residency

        return cast("Module", residency.resident(Source(self, build, dtype, device, storage), patches))


def weights_at(
    checkpoint: Checkpoint,
    prefix: str,
    config: Config,
    expected: Mapping[str, tuple[int, ...]],
    optional: Callable[[str], bool] = lambda name: False,
) -> Weights[Config]:
    """Return the network under ``prefix``, after comparing its names and shapes with ``expected`` (without prefix).

    Tensors for which ``optional`` is true may exist; other additional tensors are listed in the log.
    Raises CheckpointError naming missing tensors and tensors of the wrong shape.
    """
    check_shapes(checkpoint, prefix, expected)
    own = (name.removeprefix(prefix) for name in checkpoint.shapes if name.startswith(prefix))
    surplus = [prefix + name for name in own if name not in expected and not optional(name)]
    if surplus:
        log.warning("%s: unused tensors: %s", checkpoint.path, some_of(surplus))
    parameters = sum(math.prod(shape) for shape in expected.values())
    return Weights(checkpoint.path, prefix, checkpoint.fingerprint, config, parameters)
