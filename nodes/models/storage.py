"""The dtypes in which weights stay in memory: the dtype of the computation, the file's half precision, or 8 bits.

With :func:`keep_file_weights`, fp16 and bf16 weights of a file stay as they are when the computation is in float32.
Each layer widens its own for each of its calls, so the results have the same bits.

Weights of 8 bits take half the memory of fp16. Each layer is converted to the compute dtype for each of its calls.
The formats are E4M3 and E5M2 of Micikevicius et al., "FP8 Formats for Deep Learning" (arXiv:2209.05433).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal
from zlib import crc32

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Storage = Literal["default", "fp8_e4m3fn", "fp8_e5m2"]
"""The storage of a network's weights. ``default``: tensors that are fp8 in the file stay fp8."""

_keeps_file_weights = False
_IN_FILES = {"F8_E4M3": "fp8_e4m3fn", "F8_E5M2": "fp8_e5m2"}


def can_hold_fp8(device_type: str) -> bool:
    """Return whether tensors on such a device can be fp8. Apple's Metal has no type of 8 bits."""
    return device_type != "mps"


def keep_file_weights(kept: bool) -> None:
    """Set whether half-precision weights stay in memory as the file has them. Call it before networks are loaded."""
    global _keeps_file_weights
    _keeps_file_weights = kept


def memory_dtype(
    storage: Storage | None, stored: str, computed: torch.dtype, device_type: str, dimensions: int = 2
) -> torch.dtype:
    """Return the dtype in which a floating-point tensor stays in memory.

    Args:
        storage: the network's storage; None: ``computed``, whatever the file holds.
        stored: safetensors' name of the tensor's dtype in the file.
        computed: the dtype of the computation.
        device_type: the type of the device, as in ``torch.device.type``.
        dimensions: the number of the tensor's dimensions. Biases and norms, with one, are not kept in half precision.
    """
    import torch

    name = _IN_FILES.get(stored) if storage == "default" else storage
    if name is None or not can_hold_fp8(device_type):
        if _keeps_file_weights and computed is torch.float32 and dimensions > 1:
            return {"F16": torch.float16, "BF16": torch.bfloat16}.get(stored, computed)
        return computed
    return {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}[name]


def is_fp8(dtype: torch.dtype) -> bool:
    """Return whether ``dtype`` is a floating-point type of 8 bits."""
    return dtype.is_floating_point and dtype.itemsize == 1


def rounded(values: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """Round float32 ``values`` to values of the fp8 type ``dtype``, up or down at random by the distance to each.

    So the mean of many weights keeps a change that is smaller than the steps of fp8, as a LoRA's usually is; values
    that ``dtype`` holds stay as they are, and too large ones too large. The result, also float32, depends only on the
    values and on ``name``, the tensor's name.
    """
    import torch

    info = torch.finfo(dtype)
    fraction_bits, lowest = round(-math.log2(info.eps)), round(math.log2(info.smallest_normal))
    _, exponent = torch.frexp(values)
    step = torch.ldexp(torch.ones_like(values), (exponent - 1).clamp(min=lowest) - fraction_bits)
    generator = torch.Generator().manual_seed(crc32(name.encode()))
    # Few enough bits that float32 holds the sum of such a number and a value that dtype holds.
    chance = torch.randint(1 << 16, values.shape, generator=generator) / (1 << 16)
    return (values / step + chance).floor() * step
