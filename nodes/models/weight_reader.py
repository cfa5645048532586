"""Reads a network's weights from its file: converted, patched, and checked for NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.models.checkpoint import Checkpoint, CheckpointError, fingerprint
from nodes.models.stored_network import Source
from nodes.models.weight_patches import WeightPatch, patched

_EXACT_IN_FP32 = frozenset({"F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


class WeightReader:
    """The weights of one network. The file stays open from a read until :meth:`close`.

    On a GPU copies are asynchronous, through pinned memory, and what they brought is checked by :meth:`check`, in one
    synchronisation however many tensors were read.
    """

    def __init__(self, source: Source[Any]):
        self._source = source
        self._checkpoint: Checkpoint | None = None
        self._unchecked: list[tuple[str, bool, Tensor]] = []

    @torch.no_grad()
    def read(
        self,
        shapes: Mapping[str, torch.Size],
        patches: Mapping[str, Sequence[WeightPatch]],
        known: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """New tensors on the source's device, by their names in the network.

        Args:
            shapes: of the tensors to read. Floating-point ones take the source's precision.
            patches: by tensor; applied in float32 to the file's own values.
            known: float32 tensors that :meth:`is_exact` says hold the file's values, to save reading those.

        Raises:
            CheckpointError: the file changed since it was examined; on a CPU also, a tensor holds NaN or infinity.
            WeightPatchError: a patch does not fit its tensor.
        """
        checkpoint = self._open()
        return {
            name: self._converted(checkpoint, name, shape, patches.get(name, ()), known.get(name))
            for name, shape in shapes.items()
        }

    def is_exact(self, name: str, tensor: Tensor) -> bool:
        """Whether ``tensor``, read for ``name``, holds the file's own values and can be computed with."""
        stored = self._open().dtypes.get(self._source.weights.prefix + name)
        is_plain = tensor.device.type == "cpu" and not tensor.is_mkldnn and tensor.dtype is torch.float32
        return is_plain and stored in _EXACT_IN_FP32

    def check(self) -> None:
        """Raise CheckpointError for a tensor with NaN or infinity among those read since the last check."""
        unchecked, self._unchecked = self._unchecked, []
        if unchecked:
            bounds = torch.stack([bounds for _, _, bounds in unchecked]).tolist()
            for (name, is_patched, _), pair in zip(unchecked, bounds, strict=True):
                self._check(self._open(), name, is_patched, pair)

    def close(self) -> None:
        """Close the file until the next read."""
        self._checkpoint = None

    def _open(self) -> Checkpoint:
        weights = self._source.weights
        if fingerprint(weights.path) != weights.fingerprint:
            raise CheckpointError(f"{weights.path}: has changed since the workflow named it; run the workflow again")
        if self._checkpoint is None:
            self._checkpoint = Checkpoint.open(weights.path)
        return self._checkpoint

    def _converted(
        self,
        checkpoint: Checkpoint,
        name: str,
        shape: torch.Size,
        patches: Sequence[WeightPatch],
        known: Tensor | None,
    ) -> Tensor:
        device = self._source.device
        values = checkpoint.tensor(self._source.weights.prefix + name).reshape(shape) if known is None else known
        shared = {values.untyped_storage().data_ptr()}
        if patches:
            values = patched(values, patches)
            shared |= {tensor.untyped_storage().data_ptr() for patch in patches for tensor in patch.change.tensors}
        dtype = self._source.dtype if values.is_floating_point() else values.dtype
        layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        if device.type == "cuda":
            values = values.pin_memory().to(device, non_blocking=True)
        is_ready = values.dtype == dtype and values.device == device and values.is_contiguous(memory_format=layout)
        if is_ready and values.untyped_storage().data_ptr() not in shared:
            tensor = values
        else:
            # Made first and copied into, so that not even a tensor that needs no conversion stays mapped.
            tensor = torch.empty(shape, dtype=dtype, device=device, memory_format=layout)
            tensor.copy_(values)
        if tensor.numel() and tensor.is_floating_point():
            if device.type == "cuda":
                self._unchecked.append((name, bool(patches), _bounds(tensor)))
            elif not math.isfinite(
                tensor.sum(dtype=torch.float32)
            ):  # takes less than the bounds, which may be finite yet
                self._check(checkpoint, name, bool(patches), _bounds(tensor).tolist())
        return tensor

    def _check(self, checkpoint: Checkpoint, name: str, is_patched: bool, bounds: Sequence[float]) -> None:
        if all(math.isfinite(bound) for bound in bounds):
            return
        name = self._source.weights.prefix + name
        is_damaged = not checkpoint.tensor(name).float().isfinite().all()
        what = "holds NaN or infinity" if is_damaged else f"does not fit {self._source.dtype}"
        what += " once patched" if is_patched else ""
        raise CheckpointError(f"{checkpoint.path}: tensor '{name}' {what}")


def _bounds(tensor: Tensor) -> Tensor:
    return torch.stack(torch.aminmax(tensor)).float()
