"""Small networks in files, for the tests of what is in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes.fused import Convolution, Linear
from nodes.models.checkpoint import Checkpoint
from nodes.models.residency import Residency
from nodes.models.stored_network import Source
from nodes.models.weights import Weights, weights_at

CPU = torch.device("cpu")
PREFIX = "net."
UNLIMITED = 1 << 40


class Net(nn.Module):
    """A convolution, linear layers in a row, and a norm: 4 x 16 x 16 pictures to [1, 16, 16, 2]."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = Convolution(4, width, 3, padding=1)
        self.rows = nn.ModuleList(Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)
        self.out = Linear(width, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).movedim(1, -1)
        for row in self.rows:
            x = row(x, plus=x)
        return self.out(self.norm(x))


def saved(path: Path, width: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32) -> Weights[int]:
    """A :class:`Net` in a file at ``path``, with its weights as ``torch.manual_seed(seed)`` makes them."""
    torch.manual_seed(seed)
    return in_file(path, {name: tensor.to(dtype) for name, tensor in Net(width).state_dict().items()}, width)


def in_file(path: Path, state: dict[str, Tensor], width: int = 8) -> Weights[int]:
    """``state`` in a file at ``path``."""
    save_file({PREFIX + name: tensor.contiguous() for name, tensor in state.items()}, path)
    expected = {name: tuple(tensor.shape) for name, tensor in Net(width).state_dict().items()}
    return weights_at(Checkpoint.open(path), PREFIX, width, expected)


def source(weights: Weights[int], dtype: torch.dtype = torch.float32) -> Source[int]:
    """``weights`` as a :class:`Net` on the CPU."""
    return Source(weights, Net, dtype, CPU)


def limited(limit: int | Callable[[], int]) -> Residency:
    """A residency with a budget of ``limit`` bytes."""
    return Residency(lambda device, held: limit if isinstance(limit, int) else limit())


def load(
    weights: Weights[int], build: Callable[[int], nn.Module], dtype: torch.dtype, device: torch.device
) -> nn.Module:
    """Load the whole network, with no other reference to it."""
    return limited(UNLIMITED).resident(Source(weights, build, dtype, device))


def size(weights: Weights[int]) -> int:
    """Bytes in float32."""
    return 4 * weights.parameters
