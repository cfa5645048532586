"""Linear and convolution layers that fuse the operation after them on a CPU.

PyTorch's CPU build includes oneDNN, whose matrix product and convolution can add to, multiply
or apply GELU to their result before it leaves the cache. These are the operators under
``torch.ops.mkldnn``, which torch.compile emits; this module calls them directly. Where they are not
available (another device, a dtype the CPU lacks, a build without oneDNN), or where gradients are
needed, which these operators do not support, the ordinary operators compute the same.
"""

from __future__ import annotations

import weakref
from functools import cache
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nodes import strips
from nodes.heap import freed
from nodes.silu import silu
from nodes.winograd import convolved, is_faster

_WINOGRAD: Final = ((3, 3), (1, 1), (1, 1), (1, 1), 1)
"""Kernel size, stride, padding, dilation and groups of the convolutions that :mod:`nodes.winograd` computes."""
_POINTWISE: Final = ((1, 1), (1, 1), (0, 0), (1, 1), 1)


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    gelu: bool = False,
    times: Tensor | None = None,
    plus: Tensor | None = None,
) -> Tensor:
    """Compute ``x @ weight.T + bias``, then at most one of GELU, ``· times``, ``+ plus`` (of the result's shape)."""
    if _onednn(x, weight, bias, times, plus):
        ops = torch.ops.mkldnn
        if times is not None:
            return ops._linear_pointwise.binary(x, times, weight, bias, "mul")
        if plus is not None:
            return ops._linear_pointwise.binary(x, plus, weight, bias, "add")
        return ops._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    result = F.linear(x, weight, bias)
    if times is not None:
        return result * times
    if plus is not None:
        return result + plus
    return F.gelu(result) if gelu else result


class Linear(nn.Linear):
    """A linear layer over the last dimension, with an optional ``plus`` added to its result.

    With ``gated``, the first half of the result is multiplied by GELU of the second (Shazeer, arXiv:2002.05202).
    """

    def forward(self, x: Tensor, plus: Tensor | None = None, *, gated: bool = False) -> Tensor:
        if gated:
            value, gate = zip(self.weight.chunk(2), self.bias.chunk(2), strict=True)
            return linear(x, *value, times=linear(x, *gate, gelu=True))
        return linear(x, self.weight, self.bias, plus=plus)


class TokenConvolution(nn.Conv2d):
    """A 1x1 convolution over tokens [B, h*w, channels], with an optional ``plus`` added to its result."""

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        return linear(x, self.weight.flatten(1), self.bias, plus=plus)


class Convolution(nn.Conv2d):
    """A 2-D convolution, with an optional ``plus`` [B, out, h, w] added to its result.

    A 3x3 convolution with padding 1 also takes its input, and then also ``plus``, as :class:`nodes.strips.Rows`, and
    computes strip by strip. With ``in_rows``, the result of a 1x1 convolution of a large map is such rows.

    On a CPU, large 3x3 convolutions in float32 are computed with fewer multiplications (:mod:`nodes.winograd`).

    For the others, the first call puts the weight into oneDNN's blocked order and keeps it there. Otherwise each call
    would reorder the weight, which at 8x8 positions takes longer than the convolution. Outside of calls (saving,
    loading, copying, moving), the weight has the usual order.
    """

    _turned: tuple[weakref.ref[Tensor], Tensor] | None = None
    """A weight, and the same for gradients of the input; made when they are first needed."""

    def forward(self, x: strips.Map, plus: strips.Map | None = None, *, in_rows: bool = False) -> Any:
        if isinstance(x, Tensor):
            if in_rows and strips.is_large(x):
                return _Convolved(x, self)
            whole = plus if plus is None or isinstance(plus, Tensor) else plus.rows(0, plus.shape[2])
            return self._convolved(x, whole, _pair(self.padding))
        batch, _, height, width = x.shape
        result = torch.empty(batch, height, width, self.out_channels, dtype=x.dtype).permute(0, 3, 1, 2)
        more = strips.Part(plus) if isinstance(plus, Tensor) else plus
        for first, end in strips.strips(x.shape, x.dtype.itemsize):
            added = None if more is None else more.rows(first, end)
            rows = strips.with_neighbours(x, first, end).contiguous(memory_format=torch.channels_last)
            result[:, :, first:end] = self._convolved(rows, added, (0, 1))
        return result

    def _convolved(self, x: Tensor, plus: Tensor | None, padding: tuple[int, int]) -> Tensor:
        if not _onednn(x, self.weight, self.bias, plus):
            if self._is_frozen(x):
                return _FrozenConvolution.apply(x, plus, self)
            self.unpack()
            result = F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
            return result if plus is None else result + plus
        if self._suits_winograd(x):
            weight = self.weight.to_dense() if self.weight.is_mkldnn else self.weight
            return convolved(x, weight, self.bias, plus, rows_padded=padding[0] == 0)
        return self._packed(x, plus, padding)

    def _packed(self, x: Tensor, plus: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ops = torch.ops.mkldnn
        geometry = (padding, self.stride, self.dilation, self.groups)
        if not self.weight.is_mkldnn:
            size = self.weight.nbytes
            packed = ops._reorder_convolution_weight(self.weight.detach(), *geometry, x.shape)
            self.weight = nn.Parameter(packed, requires_grad=False)
            freed(size)
        if plus is None:
            return ops._convolution_pointwise(x, self.weight, self.bias, *geometry, "none", [], "")
        return ops._convolution_pointwise.binary(
            x, plus, self.weight, self.bias, *geometry, "add", None, None, [], None
        )

    def _is_frozen(self, x: Tensor) -> bool:
        """Whether only gradients of the input are needed, and are a convolution of the result's gradients."""
        if x.device.type != "cpu" or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
            return False
        if _needs_gradients(self.weight, self.bias) or not _onednn_computes(x.dtype):
            return False
        geometry = (self.kernel_size, self.stride, self.padding, self.dilation, self.groups)
        return geometry in (_WINOGRAD, _POINTWISE) and x.dtype == self.weight.dtype

    def input_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the input, given the result's [B, out, h, w]: a convolution with the weight turned
        round. That weight is kept in oneDNN's order, too."""
        ops = torch.ops.mkldnn
        geometry = (_pair(self.padding), self.stride, self.dilation, self.groups)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if self._turned is None or self._turned[0]() is not self.weight:
            weight = self.weight.to_dense() if self.weight.is_mkldnn else self.weight
            turned = weight.detach().flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            packed = ops._reorder_convolution_weight(turned, *geometry, gradient.shape)
            self._turned = weakref.ref(self.weight), packed
        return ops._convolution_pointwise(gradient, self._turned[1], None, *geometry, "none", [], "")

    def _suits_winograd(self, x: Tensor) -> bool:
        geometry = (self.kernel_size, self.stride, self.padding, self.dilation, self.groups)
        return x.dtype == torch.float32 and geometry == _WINOGRAD and is_faster(x, self.weight)

    def unpack(self) -> None:
        """Put the weight into the usual order."""
        self._turned = None
        if self.weight.is_mkldnn:
            dense = self.weight.to_dense().contiguous(memory_format=torch.channels_last)
            self.weight = nn.Parameter(dense, requires_grad=False)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self.unpack()
        return super()._apply(*args, **kwargs)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unpack()
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unpack()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        self.unpack()
        return self.__dict__


class _FrozenConvolution(torch.autograd.Function):
    """A convolution with a fixed weight: both directions use a weight in oneDNN's order.

    torch's own convolution reorders the weight for every call, which takes longer than a small picture's convolution.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, plus: Tensor | None, layer: Convolution) -> Tensor:
        context.layer, context.adds = layer, plus is not None
        return layer._packed(x, plus, _pair(layer.padding))

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        found = context.layer.input_gradient(gradient) if context.needs_input_grad[0] else None
        return found, gradient if context.adds else None, None


class _Convolved:
    """The rows of a 1x1 convolution of ``x``."""

    def __init__(self, x: Tensor, layer: Convolution):
        self.shape, self.dtype = torch.Size((x.shape[0], layer.out_channels, *x.shape[2:])), x.dtype
        self._x, self._layer = x, layer

    def rows(self, first: int, end: int) -> Tensor:
        rows = self._x[:, :, first:end].contiguous(memory_format=torch.channels_last)
        return self._layer._convolved(rows, None, (0, 0))


class GroupNorm(nn.GroupNorm):
    """Group normalisation (arXiv:1803.08494); with ``activated``, SiLU of its result.

    With ``activated``, the result for a large map is :class:`nodes.strips.Rows` if no gradient is needed.
    On a CPU, its backward pass takes several times as long in bfloat16 as in float32, so it uses float32.
    """

    def forward(self, x: Tensor, *, activated: bool = False) -> Any:
        if activated:
            return strips.Activated(x, self) if strips.is_large(x) else silu(self.forward(x))
        if x.dtype == torch.bfloat16 and x.device.type == "cpu" and _needs_gradients(x):
            weight, bias = self.weight.float(), self.bias.float()
            return F.group_norm(x.float(), self.num_groups, weight, bias, self.eps).to(x.dtype)
        return super().forward(x)


def _pair(padding: Any) -> tuple[int, int]:
    above, beside = padding
    return above, beside


def _onednn(x: Tensor, *others: Tensor | None) -> bool:
    if torch.compiler.is_compiling():  # the compiler fuses the ordinary operators itself
        return False
    return x.device.type == "cpu" and _onednn_computes(x.dtype) and not _needs_gradients(x, *others)


def _needs_gradients(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


@cache
def _onednn_computes(dtype: torch.dtype) -> bool:
    ops = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and hasattr(ops, "_linear_pointwise")):
        return False
    if dtype == torch.bfloat16:
        return bool(ops._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(ops._is_mkldnn_fp16_supported())
    return dtype == torch.float32
