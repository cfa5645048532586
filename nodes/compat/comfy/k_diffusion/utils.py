"""``comfy.k_diffusion.utils``: shapes."""

from __future__ import annotations

from torch import Tensor


def append_dims(x: Tensor, target_dims: int) -> Tensor:
    """``x`` with dimensions of 1 added until it has that many. Raises ValueError if it has more."""
    missing = target_dims - x.ndim
    if missing < 0:
        raise ValueError(f"a tensor of {x.ndim} dimensions cannot be given {target_dims}")
    return x.reshape(x.shape + (1,) * missing)
