"""The embedded model's networks give bit-identical results with no, some or all weights in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip
from nodes.models.networks import network_factory
from nodes.models.residency import Residency
from nodes.models.stored_network import Source

EMBEDDED = Path(__file__).parents[2] / "models" / "checkpoints" / "sumi-tiny.safetensors"


def unet(network: Any) -> Tensor:
    context = torch.randn(1, 77, network.config.context_width, generator=torch.Generator().manual_seed(0))
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    return network(latents, torch.tensor([500.0]), network.project_context(context))


def text(network: Any) -> Tensor:
    ids = torch.full((1, 77), 49407)
    ids[0, 0] = 49406
    ids[0, 1:5] = torch.tensor([320, 1125, 539, 320])
    return network(ids).hidden


def vae(network: Any) -> Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return torch.cat([network.decode(latents).flatten(), network.moments(torch.ones(1, 3, 64, 64)).flatten()])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("open_handle", "compute"),
    [(contents.model_in, unet), (contents.text_encoder_in, text), (contents.vae_in, vae)],
)
@torch.no_grad()
def test_absent_layers_change_no_bit(
    open_handle: Callable[[Checkpoint], Any], compute: Callable[[nn.Module], Tensor]
) -> None:
    handle = open_handle(Checkpoint.open(EMBEDDED))
    weights = handle.encoders[0].weights if isinstance(handle, Clip) else handle.weights
    source = Source(weights, network_factory(type(weights.config)), torch.float32, torch.device("cpu"))
    expected = compute(Residency(lambda device, held: 1 << 40).resident(source))
    size = 4 * weights.parameters
    for budget in (0, size * 95 // 100):
        residency = Residency(lambda device, held, budget=budget: budget)
        network = residency.resident(source)
        for _ in range(2):
            assert torch.equal(compute(network), expected)
        assert residency.nbytes("cpu") <= budget
        assert (residency.nbytes("cpu") > 0) == (budget > 0)
