"""The tensors that a LoRA run trains: small tensors beside each frozen layer, in one of four forms.

Each form is one of the changes of :mod:`nodes.models.weight_changes`, with which the trained file is applied later.
A plain LoRA is computed beside the layer during training, so that the frozen weight needs no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.fused import Convolution, Linear, TokenConvolution
from nodes.lora.layer_changes import change_of
from nodes.training.errors import TrainingError

Algorithm = Literal["LoRA", "LoHa", "LoKr", "OFT"]
ALGORITHMS: Final = ("LoRA", "LoHa", "LoKr", "OFT")


def new_tensors(
    algorithm: str, shape: tuple[int, ...], rank: int, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Return new tensors for a layer whose weight has ``shape`` [out, in, …], by their names in LoRA files.

    They have no effect at first, since one factor is zero. Raises TrainingError for an unknown algorithm.
    """
    out, inner = shape[0], shape[1]
    flat = math.prod(shape[1:])

    def normal(*size: int, spread: float) -> Tensor:
        return torch.randn(size, generator=generator) * spread

    match algorithm:
        case "LoRA":
            down = torch.empty(rank, *shape[1:])
            bound = 1 / math.sqrt(flat)
            down.uniform_(-bound, bound, generator=generator)
            ones = (1,) * (len(shape) - 2)
            return {"lora_up.weight": torch.zeros(out, rank, *ones), "lora_down.weight": down}
        case "LoHa":
            return {
                "hada_w1_a": normal(out, rank, spread=0.1),
                "hada_w1_b": normal(rank, flat, spread=1.0),
                "hada_w2_a": torch.zeros(out, rank),
                "hada_w2_b": normal(rank, flat, spread=0.1),
            }
        case "LoKr":
            rows, columns = smaller_factor(out), smaller_factor(inner)
            small = {"lokr_w1": normal(rows, columns, spread=1 / math.sqrt(columns))}
            height, width = out // rows, flat // columns
            if rank >= min(height, width) / 2:
                return small | {"lokr_w2": torch.zeros(height, inner // columns, *shape[2:])}
            return small | {
                "lokr_w2_a": torch.zeros(height, rank),
                "lokr_w2_b": normal(rank, width, spread=1 / math.sqrt(width)),
            }
        case "OFT":
            blocks = number_of_blocks(out, rank)
            return {"oft_blocks": torch.zeros(blocks, out // blocks, out // blocks)}
    raise TrainingError(f"algorithm '{algorithm}'; expected one of {', '.join(ALGORITHMS)}")


def smaller_factor(number: int) -> int:
    """Return the largest divisor that is at most the square root."""
    return next(divisor for divisor in range(math.isqrt(number), 0, -1) if number % divisor == 0)


def number_of_blocks(out: int, rank: int) -> int:
    """Return the divisor of ``out`` nearest to ``rank``, so that a higher rank means more and smaller rotations."""
    return min((d for d in range(1, out + 1) if out % d == 0), key=lambda divisor: (abs(divisor - rank), divisor))


class Adapter(nn.Module):
    """The trained tensors of one layer. ``alpha`` / rank scales their contribution."""

    def __init__(self, tensors: Mapping[str, Tensor], alpha: float | None):
        super().__init__()
        self._names = {name.replace(".", "_"): name for name in tensors}
        self.alpha = alpha
        self.active = True
        """Whether the layer computes with its adapter. Without, it gives the frozen layer's output."""
        for attribute, name in self._names.items():
            self.register_parameter(attribute, nn.Parameter(tensors[name]))
        self.is_low_rank = set(tensors) == {"lora_up.weight", "lora_down.weight"}

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by their names in LoRA files."""
        return {name: getattr(self, attribute) for attribute, name in self._names.items()}

    def changed(self, weight: Tensor) -> Tensor:
        """Return the layer's weight with the change."""
        return change_of(self.tensors(), self.alpha)(weight, 1.0)

    def beside_tokens(self, x: Tensor) -> Tensor:
        """Return the contribution of a plain LoRA to a linear layer's output for ``x`` [..., in]."""
        down, up = self._low_rank(x.dtype)
        return F.linear(F.linear(x, down.flatten(1)), up.flatten(1))

    def beside_map(self, x: Tensor, layer: Convolution) -> Tensor:
        """Return the contribution of a plain LoRA to a convolution's output for a feature map [B, in, h, w]."""
        down, up = self._low_rank(x.dtype)
        return F.conv2d(convolved(x, layer, down, None), up)

    def _low_rank(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return down and up; up includes the factor alpha / rank."""
        tensors = self.tensors()
        down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
        scale = 1.0 if self.alpha is None else self.alpha / down.shape[0]
        return down.to(dtype), (up if scale == 1.0 else up * scale).to(dtype)


def convolved(x: Tensor, layer: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply ``layer`` with another weight and bias to ``x`` [B, in, h, w]."""
    return layer._conv_forward(x, weight, bias)


class AdaptedLinear(nn.Module):
    """A frozen linear layer, or a 1x1 convolution over tokens, with an adapter. It is called like ``Linear``."""

    def __init__(self, layer: Linear | TokenConvolution, adapter: Adapter):
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor, plus: Tensor | None = None, *, gated: bool = False) -> Tensor:
        if not self.adapter.active:
            return self.layer(x, plus, gated=gated) if gated else self.layer(x, plus)
        weight, bias = self.layer.weight.flatten(1), self.layer.bias
        if self.adapter.is_low_rank:
            result = F.linear(x, weight, bias) + self.adapter.beside_tokens(x)
        else:
            result = F.linear(x, self.adapter.changed(weight.float()).to(weight.dtype), bias)
        if gated:
            value, gate = result.chunk(2, dim=-1)
            result = value * F.gelu(gate)
        return result if plus is None else result + plus


class AdaptedConvolution(nn.Module):
    """A frozen convolution with an adapter. It is called like ``Convolution``."""

    def __init__(self, layer: Convolution, adapter: Adapter):
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        layer = self.layer
        if self.adapter.is_low_rank:
            result = layer(x, self.adapter.beside_map(x, layer)) if self.adapter.active else layer(x)
        elif not self.adapter.active:  # not layer(…), which would pack the weight that the other calls read
            result = convolved(x, layer, layer.weight, layer.bias)
        else:
            weight = self.adapter.changed(layer.weight.float()).to(layer.weight.dtype)
            result = convolved(x, layer, weight, layer.bias)
        return result if plus is None else result + plus


@contextmanager
def switched_off(adapters: Iterable[Adapter]) -> Iterator[None]:
    """Compute with the frozen layers alone inside the ``with`` block."""
    adapters = list(adapters)
    for adapter in adapters:
        adapter.active = False
    try:
        yield
    finally:
        for adapter in adapters:
            adapter.active = True


def attach(network: nn.Module, adapters: Mapping[str, Adapter]) -> None:
    """Replace each named layer by an adapted one. Raises TrainingError for other kinds of layers."""
    for name, adapter in adapters.items():
        match network.get_submodule(name):
            case Convolution() as layer:
                network.set_submodule(name, AdaptedConvolution(layer, adapter))
            case Linear() | TokenConvolution() as layer:
                network.set_submodule(name, AdaptedLinear(layer, adapter))
            case layer:
                raise TrainingError(f"layer '{name}' is a {type(layer).__name__}, which LoRA does not train")
