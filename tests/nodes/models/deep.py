"""Computes with a deep network under a memory limit; prints the result's hash and the process's peak memory.

python -m tests.nodes.models.deep FILE BUDGET [PATCHED]
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from nodes.models.checkpoint import Checkpoint
from nodes.models.residency import Residency
from nodes.models.stored_network import Source
from nodes.models.weight_changes import LowRank
from nodes.models.weight_patches import WeightPatch
from nodes.models.weights import weights_at

WIDTH = 512
DEPTH = 96

peak = 0


class Row(nn.Linear):
    """Notes how much memory the process has while it computes."""

    def forward(self, x: Tensor) -> Tensor:
        result = super().forward(x)
        global peak
        peak = max(peak, anonymous_memory())
        return result


class Deep(nn.Module):
    """DEPTH layers of WIDTH x WIDTH: 1 MiB each in float32."""

    def __init__(self, config: None):
        super().__init__()
        self.rows = nn.ModuleList(Row(WIDTH, WIDTH, bias=False) for _ in range(DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        for row in self.rows:
            x = x + row(x)
        return x


def anonymous_memory() -> int:
    """Return the anonymous memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def main(file: str, budget: int, is_patched: bool) -> None:
    torch.set_num_threads(1)
    shapes = {f"rows.{row}.weight": (WIDTH, WIDTH) for row in range(DEPTH)}
    weights = weights_at(Checkpoint.open(file), "", None, shapes)
    generator = torch.Generator().manual_seed(1)
    up, down = torch.randn(WIDTH, 4, generator=generator), torch.randn(4, WIDTH, generator=generator)
    patches = tuple(WeightPatch(name, LowRank(up, down), 0.001) for name in shapes) if is_patched else ()
    x = torch.linspace(-1, 1, 4 * WIDTH).reshape(4, WIDTH)
    with torch.no_grad():
        torch.addmm(nn.Linear(WIDTH, WIDTH)(x), x[:, :4], down)  # what torch allocates for itself
        before = anonymous_memory()
        network = Residency(lambda device, held: budget).resident(
            Source(weights, Deep, torch.float32, torch.device("cpu")), patches
        )
        result = network(x)
    print(hashlib.sha256(result.numpy().tobytes()).hexdigest(), peak - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3)
