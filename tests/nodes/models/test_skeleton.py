"""Networks without values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from nodes.models.skeleton import without_values

ROOT = Path(__file__).resolve().parents[3]


def test_modules_have_shapes_but_no_values() -> None:
    state = torch.random.get_rng_state()
    with without_values():
        network = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4), nn.Conv2d(1, 2, 3), nn.GroupNorm(2, 4))
        drawn = nn.Parameter(torch.empty(2).normal_())
        nn.init.xavier_uniform_(network[1].weight)
        nn.init.trunc_normal_(tensor=network[1].weight)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["0.weight"] == (5, 3) and shapes["1.weight"] == (4, 3) and shapes["2.weight"] == (2, 1, 3, 3)
    assert {value.device.type for value in (*network.state_dict().values(), drawn)} == {"meta"}
    assert torch.equal(torch.random.get_rng_state(), state)
    assert nn.Linear(3, 4).weight.device.type == "cpu" and bool(nn.Linear(3, 4).weight.any())


def test_making_a_text_encoder_imports_no_compiler() -> None:
    code = (
        "import sys, torch; from nodes.models.skeleton import without_values\n"
        "with without_values(): torch.nn.Embedding(10, 4); torch.nn.Linear(4, 4)\n"
        "print({'torch._dynamo', 'sympy'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
