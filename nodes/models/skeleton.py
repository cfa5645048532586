"""Networks without values: modules on PyTorch's meta device, which weights from a file then fill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def without_values() -> Iterator[None]:
    """Put modules that are made inside on the meta device, and skip the initial values that they would draw.

    Initialising a tensor on the meta device has no effect, but for a normal distribution PyTorch runs a Python
    reference of the operator, whose first use imports ``torch._dynamo`` and sympy (2 s).
    """
    with torch.device("meta"), _WithoutInitialisation():
        yield


class _WithoutInitialisation(TorchFunctionMode):
    """Skips the functions of ``torch.nn.init`` and the methods of tensors that draw random values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWING or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


_DRAWING: Final = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})
