"""The tensors that a LoRA run trains: small ones beside each frozen layer, in one of four forms.

Each form is one of the changes of :mod:`nodes.models.weight_patches`, which the trained file becomes when it is used;
a plain LoRA is computed beside the layer while it trains, so that the frozen weight needs no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.models.weight_patches import Change, LoHa, LoKr, LowRank, Orthogonal
from nodes.training.errors import TrainingError
from nodes.unet.fused import Convolution, Linear, TokenConvolution

Algorithm = Literal["LoRA", "LoHa", "LoKr", "OFT"]
ALGORITHMS: Final = ("LoRA", "LoHa", "LoKr", "OFT")

_ENDINGS: Final[Mapping[str, str]] = {
    "lora_up.weight": "LoRA",
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "oft_blocks": "OFT",
}


def new_tensors(
    algorithm: str, shape: tuple[int, ...], rank: int, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Fresh tensors for a layer whose weight has ``shape`` [out, in, …], by their names in LoRA files.

    At first they have no effect: one factor is zero. Raises TrainingError for an unknown algorithm.
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
    """The largest divisor that is not above the square root."""
    return next(divisor for divisor in range(math.isqrt(number), 0, -1) if number % divisor == 0)


def number_of_blocks(out: int, rank: int) -> int:
    """The divisor of ``out`` that is nearest to ``rank``, so that more rank means more and smaller rotations."""
    return min((d for d in range(1, out + 1) if out % d == 0), key=lambda divisor: (abs(divisor - rank), divisor))


def algorithm_of(tensors: Mapping[str, Tensor]) -> str:
    """The algorithm that a layer's tensors belong to. Raises TrainingError if there is none."""
    for ending, algorithm in _ENDINGS.items():
        if ending in tensors:
            return algorithm
    raise TrainingError(f"a LoRA layer with the tensors {', '.join(sorted(tensors))}; expected one of {_ENDINGS}")


def change_of(tensors: Mapping[str, Tensor], alpha: float | None) -> Change:
    """The weight change described by a layer's tensors, named as in LoRA files. Raises TrainingError."""
    match algorithm_of(tensors):
        case "LoRA":
            middle, magnitude = tensors.get("lora_mid.weight"), tensors.get("dora_scale")
            return LowRank(tensors["lora_up.weight"], tensors["lora_down.weight"], alpha, middle, magnitude)
        case "LoHa":
            w1_a, w1_b, w2_a, w2_b = (tensors[f"hada_{name}"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
            return LoHa(w1_a, w1_b, w2_a, w2_b, alpha)
        case "LoKr":
            if "lokr_w2" in tensors:
                return LoKr(tensors["lokr_w1"], tensors["lokr_w2"], alpha)
            return LoKr(tensors["lokr_w1"], (tensors["lokr_w2_a"], tensors["lokr_w2_b"]), alpha)
    # For rotations the entry "alpha" is the constraint; training has none.
    return Orthogonal(tensors["oft_blocks"], alpha)


class Adapter(nn.Module):
    """The trained tensors of one layer. ``alpha`` / rank scales what they add."""

    def __init__(self, tensors: Mapping[str, Tensor], alpha: float | None):
        super().__init__()
        self._names = {name.replace(".", "_"): name for name in tensors}
        self.alpha = alpha
        for attribute, name in self._names.items():
            self.register_parameter(attribute, nn.Parameter(tensors[name]))
        self.is_low_rank = algorithm_of(tensors) == "LoRA" and set(tensors) == {"lora_up.weight", "lora_down.weight"}

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names in LoRA files."""
        return {name: getattr(self, attribute) for attribute, name in self._names.items()}

    def changed(self, weight: Tensor) -> Tensor:
        """The layer's weight with the change."""
        return change_of(self.tensors(), self.alpha)(weight, 1.0)

    def beside_tokens(self, x: Tensor) -> Tensor:
        """The output that a plain LoRA adds to a linear layer's for ``x`` [..., in]."""
        down, up = self._low_rank(x.dtype)
        return F.linear(F.linear(x, down.flatten(1)), up.flatten(1))

    def beside_map(self, x: Tensor, layer: Convolution) -> Tensor:
        """The same for a convolution and a feature map [B, in, h, w]."""
        down, up = self._low_rank(x.dtype)
        return F.conv2d(convolved(x, layer, down, None), up)

    def _low_rank(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Down and up, alpha / rank in the latter."""
        tensors = self.tensors()
        down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
        scale = 1.0 if self.alpha is None else self.alpha / down.shape[0]
        return down.to(dtype), (up if scale == 1.0 else up * scale).to(dtype)


def convolved(x: Tensor, layer: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` [B, in, h, w] through ``layer`` with another weight and bias."""
    return layer._conv_forward(x, weight, bias)


class AdaptedLinear(nn.Module):
    """A frozen linear layer, or a 1x1 convolution over tokens, with an adapter. It is called as ``Linear`` is."""

    def __init__(self, layer: Linear | TokenConvolution, adapter: Adapter):
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor, plus: Tensor | None = None, *, gated: bool = False) -> Tensor:
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
    """A frozen convolution with an adapter. It is called as ``Convolution`` is."""

    def __init__(self, layer: Convolution, adapter: Adapter):
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        layer = self.layer
        if self.adapter.is_low_rank:
            result = convolved(x, layer, layer.weight, layer.bias) + self.adapter.beside_map(x, layer)
        else:
            weight = self.adapter.changed(layer.weight.float()).to(layer.weight.dtype)
            result = convolved(x, layer, weight, layer.bias)
        return result if plus is None else result + plus


def attach(network: nn.Module, adapters: Mapping[str, Adapter]) -> None:
    """Put an adapted layer in the place of each named layer. Raises TrainingError for other kinds of layers."""
    for name, adapter in adapters.items():
        match network.get_submodule(name):
            case Convolution() as layer:
                network.set_submodule(name, AdaptedConvolution(layer, adapter))
            case Linear() | TokenConvolution() as layer:
                network.set_submodule(name, AdaptedLinear(layer, adapter))
            case layer:
                raise TrainingError(f"layer '{name}' is a {type(layer).__name__}, which LoRA does not train")
