"""``comfy.ops``: layers for networks of packs' own.

Those of ``manual_cast`` compute in the precision and on the device of what they are given; those of
``disable_weight_init`` in their own. Neither gives its weights numbers: they are loaded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def cast_to(
    weight: Tensor | None,
    dtype: torch.dtype | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Any:
    """``weight`` there and so."""
    return None if weight is None else weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def cast_to_input(weight: Tensor | None, input: Tensor, non_blocking: bool = False, copy: bool = True) -> Any:
    """``weight`` where and as ``input`` is."""
    return cast_to(weight, input.dtype, input.device, non_blocking, copy)


def cast_bias_weight(
    s: nn.Module,
    input: Tensor | None = None,
    dtype: torch.dtype | None = None,
    device: Any = None,
    bias_dtype: torch.dtype | None = None,
) -> tuple[Any, Any]:
    """A layer's weight and bias where and as ``input`` is."""
    if input is not None:
        dtype, device = dtype or input.dtype, device or input.device
    weight: Any = s.weight
    bias: Any = s.bias
    return cast_to(weight, dtype, device), cast_to(bias, bias_dtype or dtype, device)


class CastWeightBiasOp(nn.Module):
    """A layer whose numbers are loaded, and which may cast them."""

    comfy_cast_weights = False

    def reset_parameters(self) -> None:
        """Nothing: the weights are loaded."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer, with its weights as they are or cast."""
        if self.comfy_cast_weights:
            return self.forward_comfy_cast_weights(*args, **kwargs)
        return super().forward(*args, **kwargs)

    def forward_comfy_cast_weights(self, *args: Any, **kwargs: Any) -> Any:
        """The layer with its weights where and as its input is; here one whose input says nothing of that."""
        return super().forward(*args, **kwargs)


class disable_weight_init:
    """Layers in their own precision."""

    class Linear(CastWeightBiasOp, nn.Linear):
        """A linear layer."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            return nn.functional.linear(input, *cast_bias_weight(self, input))

    class Conv1d(CastWeightBiasOp, nn.Conv1d):
        """A convolution of sequences."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            return self._conv_forward(input, *cast_bias_weight(self, input))

    class Conv2d(CastWeightBiasOp, nn.Conv2d):
        """A convolution of pictures."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            return self._conv_forward(input, *cast_bias_weight(self, input))

    class Conv3d(CastWeightBiasOp, nn.Conv3d):
        """A convolution of films."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            return self._conv_forward(input, *cast_bias_weight(self, input))

    class GroupNorm(CastWeightBiasOp, nn.GroupNorm):
        """Normalization over groups of channels."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            return nn.functional.group_norm(input, self.num_groups, *cast_bias_weight(self, input), self.eps)

    class LayerNorm(CastWeightBiasOp, nn.LayerNorm):
        """Normalization over channels."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            weight, bias = (None, None) if self.weight is None else cast_bias_weight(self, input)
            return nn.functional.layer_norm(input, self.normalized_shape, weight, bias, self.eps)

    class Embedding(CastWeightBiasOp, nn.Embedding):
        """Vectors by number."""

        def forward(self, input: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
            found = super().forward(input)
            return found if out_dtype is None else found.to(out_dtype)

    @classmethod
    def conv_nd(cls, dims: int, *args: Any, **kwargs: Any) -> nn.Module:
        """A convolution of that many dimensions. Raises ValueError for others than 1, 2 and 3."""
        layers: dict[int, Any] = {1: cls.Conv1d, 2: cls.Conv2d, 3: cls.Conv3d}
        if dims not in layers:
            raise ValueError(f"there are convolutions of 1, 2 and 3 dimensions, not of {dims}")
        made: nn.Module = layers[dims](*args, **kwargs)
        return made


def _casting(layer: type[nn.Module]) -> type[Any]:
    return type(layer.__name__, (layer,), {"comfy_cast_weights": True, "__doc__": layer.__doc__})


class manual_cast(disable_weight_init):
    """Layers in the precision and on the device of what they are given."""

    Linear = _casting(disable_weight_init.Linear)
    Conv1d = _casting(disable_weight_init.Conv1d)
    Conv2d = _casting(disable_weight_init.Conv2d)
    Conv3d = _casting(disable_weight_init.Conv3d)
    GroupNorm = _casting(disable_weight_init.GroupNorm)
    LayerNorm = _casting(disable_weight_init.LayerNorm)
    Embedding = _casting(disable_weight_init.Embedding)
