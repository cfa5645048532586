"""``comfy.ops``: layers for packs' own networks.

Layers of ``manual_cast`` compute in the precision and on the device of their input, those of ``disable_weight_init`` in
their own. Neither initializes its weights, since they are loaded.
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
    """Return ``weight`` on that device and in that precision."""
    return None if weight is None else weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def cast_to_input(weight: Tensor | None, input: Tensor, non_blocking: bool = False, copy: bool = True) -> Any:
    """Return ``weight`` on the device and in the precision of ``input``."""
    return cast_to(weight, input.dtype, input.device, non_blocking, copy)


def cast_bias_weight(
    s: nn.Module,
    input: Tensor | None = None,
    dtype: torch.dtype | None = None,
    device: Any = None,
    bias_dtype: torch.dtype | None = None,
) -> tuple[Any, Any]:
    """Return a layer's weight and bias on the device and in the precision of ``input``."""
    if input is not None:
        dtype, device = dtype or input.dtype, device or input.device
    weight: Any = s.weight
    bias: Any = s.bias
    return cast_to(weight, dtype, device), cast_to(bias, bias_dtype or dtype, device)


class CastWeightBiasOp(nn.Module):
    """A layer whose weights are loaded, and cast if necessary."""

    comfy_cast_weights = False

    def reset_parameters(self) -> None:
        """Do nothing: the weights are loaded."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer, with its weights unchanged or cast."""
        if self.comfy_cast_weights:
            return self.forward_comfy_cast_weights(*args, **kwargs)
        return super().forward(*args, **kwargs)

    def forward_comfy_cast_weights(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer with weights cast to its input; layers whose input has no precision are run unchanged."""
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
        """A convolution of videos."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            return self._conv_forward(input, *cast_bias_weight(self, input))

    class ConvTranspose1d(CastWeightBiasOp, nn.ConvTranspose1d):
        """A transposed convolution of sequences."""

        def forward_comfy_cast_weights(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
            weight, bias = cast_bias_weight(self, input)
            padding = self._output_padding(
                input, output_size, self.stride, self.padding, self.kernel_size, 1, self.dilation
            )
            return nn.functional.conv_transpose1d(
                input, weight, bias, self.stride, self.padding, padding, self.groups, self.dilation
            )

    class ConvTranspose2d(CastWeightBiasOp, nn.ConvTranspose2d):
        """A transposed convolution of pictures."""

        def forward_comfy_cast_weights(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
            weight, bias = cast_bias_weight(self, input)
            padding = self._output_padding(
                input, output_size, self.stride, self.padding, self.kernel_size, 2, self.dilation
            )
            return nn.functional.conv_transpose2d(
                input, weight, bias, self.stride, self.padding, padding, self.groups, self.dilation
            )

    class RMSNorm(CastWeightBiasOp, nn.RMSNorm):
        """Normalization over channels by their root mean square."""

        bias = None

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            weight = None if self.weight is None else cast_to_input(self.weight, input)
            return nn.functional.rms_norm(input, self.normalized_shape, weight, self.eps)

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
        """An embedding table."""

        def forward(self, input: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
            found = super().forward(input)
            return found if out_dtype is None else found.to(out_dtype)

    @classmethod
    def conv_nd(cls, dims: int, *args: Any, **kwargs: Any) -> nn.Module:
        """A convolution of that many dimensions. Raises ValueError for others than 1, 2 and 3."""
        layers: dict[int, Any] = {1: cls.Conv1d, 2: cls.Conv2d, 3: cls.Conv3d}
        if dims not in layers:
            raise ValueError(f"convolutions have 1, 2 or 3 dimensions, not {dims}")
        made: nn.Module = layers[dims](*args, **kwargs)
        return made


def _casting(layer: type[nn.Module]) -> type[Any]:
    return type(layer.__name__, (layer,), {"comfy_cast_weights": True, "__doc__": layer.__doc__})


class manual_cast(disable_weight_init):
    """Layers that compute in the precision and on the device of their input."""

    Linear = _casting(disable_weight_init.Linear)
    Conv1d = _casting(disable_weight_init.Conv1d)
    Conv2d = _casting(disable_weight_init.Conv2d)
    Conv3d = _casting(disable_weight_init.Conv3d)
    ConvTranspose1d = _casting(disable_weight_init.ConvTranspose1d)
    ConvTranspose2d = _casting(disable_weight_init.ConvTranspose2d)
    RMSNorm = _casting(disable_weight_init.RMSNorm)
    GroupNorm = _casting(disable_weight_init.GroupNorm)
    LayerNorm = _casting(disable_weight_init.LayerNorm)
    Embedding = _casting(disable_weight_init.Embedding)
