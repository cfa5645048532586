"""Reads a network's weights from its file: converted, patched, and checked for NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nodes.models.checkpoint import Checkpoint, CheckpointError, dtype_named
from nodes.models.open_files import close, opened
from nodes.models.storage import is_fp8, memory_dtype, rounded
from nodes.models.stored_network import Source
from nodes.models.weight_changes import LowRank
from nodes.models.weight_patches import WeightPatch, patched

_EXACT_IN_FP32 = frozenset({"F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


class WeightReader:
    """The weights of one network. The file stays open from a read until :meth:`close`.

    On a GPU, copies are asynchronous, through pinned memory, and :meth:`check` checks the copied tensors with one
    synchronisation for any number of tensors.
    """

    def __init__(self, source: Source[Any]):
        self._source = source
        self._unchecked: list[tuple[str, bool, torch.dtype, Tensor]] = []

    @torch.no_grad()
    def read(
        self,
        shapes: Mapping[str, torch.Size],
        patches: Mapping[str, Sequence[WeightPatch]],
        known: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Read new tensors to the source's device, by their names in the network.

        Args:
            shapes: the shapes of the tensors to read. Floating-point tensors are converted to :meth:`memory_dtype`.
            patches: patches by tensor; applied in float32 to the file's own values.
            known: tensors with the file's values (see :meth:`is_exact`), which need not be read.

        Raises:
            CheckpointError: the file changed since it was opened; on a CPU also, a tensor holds NaN or infinity.
            WeightPatchError: a patch does not fit its tensor.
        """
        checkpoint = self._open()
        return {
            name: self._converted(checkpoint, name, shape, patches.get(name, ()), known.get(name))
            for name, shape in shapes.items()
        }

    def memory_dtype(self, name: str, is_patched: bool = False) -> torch.dtype:
        """Return the dtype in which the floating-point tensor ``name`` stays in memory.

        A patched tensor is not rounded to the file's half precision.
        """
        source, inside = self._source, self._source.weights.prefix + name
        stored, dimensions = self._stored[inside]
        dtype = memory_dtype(source.storage, stored, source.dtype, source.device.type, dimensions)
        return dtype if is_fp8(dtype) or not is_patched else source.dtype

    @cached_property
    def _stored(self) -> Mapping[str, tuple[str, int]]:
        """Safetensors' name of the dtype and the number of dimensions of each tensor of the file."""
        checkpoint = Checkpoint.open(self._source.weights.path)
        return {name: (dtype, len(checkpoint.shapes[name])) for name, dtype in checkpoint.dtypes.items()}

    def is_exact(self, name: str, tensor: Tensor) -> bool:
        """Whether ``tensor``, read for ``name``, holds the file's own values, in float32 or the file's dtype."""
        stored = self._open().dtypes.get(self._source.weights.prefix + name)
        is_plain = tensor.device.type == "cpu" and not tensor.is_mkldnn
        return is_plain and stored in _EXACT_IN_FP32 and tensor.dtype in (torch.float32, dtype_named(stored))

    def check(self) -> None:
        """Raise CheckpointError for a tensor with NaN or infinity among those read since the last check."""
        unchecked, self._unchecked = self._unchecked, []
        if unchecked:
            bounds = torch.stack([bounds for *_, bounds in unchecked]).tolist()
            for (name, is_patched, dtype, _), pair in zip(unchecked, bounds, strict=True):
                self._check(self._open(), name, is_patched, dtype, pair)

    def close(self) -> None:
        """Close the files, the patches' too, until the next read."""
        close()

    def _open(self) -> Checkpoint:
        weights = self._source.weights
        return opened(weights.path, weights.fingerprint)

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
        dtype = self.memory_dtype(name, bool(patches)) if values.is_floating_point() else values.dtype
        layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        if patches and is_fp8(dtype):
            values = rounded(values, dtype, name)
        if device.type == "cuda":
            values = values.pin_memory().to(device, non_blocking=True)
        is_ready = values.dtype == dtype and values.device == device and values.is_contiguous(memory_format=layout)
        if is_ready and values.untyped_storage().data_ptr() not in shared:
            tensor = values
        else:
            # Allocate first and copy, so that no tensor stays mapped, not even one that needs no conversion.
            tensor = torch.empty(shape, dtype=dtype, device=device, memory_format=layout)
            tensor.copy_(values)
        # Small factors are quicker to check than the weight that they change, which was checked when it was read.
        is_known_finite = known is not None and dtype is torch.float32 and all(map(_adds_finite_factors, patches))
        if tensor.numel() and tensor.is_floating_point() and not is_known_finite:
            # fp8 cannot say that a value was too large: some versions of torch take its largest value instead.
            checked = values if is_fp8(dtype) else tensor
            if device.type == "cuda":
                self._unchecked.append((name, bool(patches), dtype, _bounds(checked)))
            elif is_fp8(dtype) or not math.isfinite(
                tensor.sum(dtype=torch.float32)
            ):  # cheaper than the bounds, which may still be finite
                self._check(checkpoint, name, bool(patches), dtype, _bounds(checked).tolist())
        return tensor

    def _check(
        self, checkpoint: Checkpoint, name: str, is_patched: bool, dtype: torch.dtype, bounds: Sequence[float]
    ) -> None:
        if all(abs(bound) <= torch.finfo(dtype).max for bound in bounds):
            return
        name = self._source.weights.prefix + name
        is_damaged = not checkpoint.tensor(name).float().isfinite().all()
        what = "holds NaN or infinity" if is_damaged else f"does not fit {dtype}"
        what += " once patched" if is_patched else ""
        raise CheckpointError(f"{checkpoint.path}: tensor '{name}' {what}")


def _adds_finite_factors(patch: WeightPatch) -> bool:
    """Whether the patch's change is low-rank factors without NaN and infinity, which it may check itself."""
    if getattr(patch.change, "checks_its_tensors", False):
        return True
    factors = patch.change.tensors if isinstance(patch.change, LowRank) else ()
    return bool(factors) and all(map(_is_finite, factors))


def _is_finite(factor: Tensor) -> bool:
    # The sum is one operator instead of five, and only a huge or a damaged factor has an infinite one.
    return math.isfinite(factor.sum(dtype=torch.float32)) or bool(factor.isfinite().all())


def _bounds(tensor: Tensor) -> Tensor:
    if is_fp8(tensor.dtype):
        tensor = tensor.half()  # which has all values of both fp8 types, and can be compared
    return torch.stack(torch.aminmax(tensor)).float()
