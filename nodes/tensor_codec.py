"""The codec with which the cache sizes, stores and reads tensors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from graph.codec import Blob

if TYPE_CHECKING:
    import torch

_DTYPES: Final = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
"""safetensors name → torch name."""


class TensorCodec:
    """Codec for dense torch tensors. A tensor from a GPU is loaded to the CPU."""

    name = "torch"

    def accepts(self, value: Any) -> bool:
        # No tensor exists before torch is imported. This check must not import it, and another
        # thread may be importing it.
        tensor_type = getattr(sys.modules.get("torch"), "Tensor", None)
        return tensor_type is not None and isinstance(value, tensor_type)

    def nbytes(self, value: torch.Tensor) -> int:
        """Return the bytes of the complete storage: a slice keeps the whole tensor that it was cut from."""
        return value.untyped_storage().nbytes()

    def dump(self, value: torch.Tensor) -> Blob | None:
        import torch

        names = {getattr(torch, torch_name): name for name, torch_name in _DTYPES.items()}
        if value.layout is not torch.strided or value.dtype not in names:
            return None
        flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
        return Blob(names[value.dtype], tuple(value.shape), flat.view(torch.uint8).numpy().data)

    def load(self, blob: Blob) -> torch.Tensor:
        import torch

        dtype: torch.dtype = getattr(torch, _DTYPES[blob.dtype])
        if 0 in blob.shape:
            return torch.empty(blob.shape, dtype=dtype)
        # Copy: tensors are writable, but the bytes of a file or message may not be.
        return torch.frombuffer(bytearray(blob.data), dtype=dtype).reshape(blob.shape)
