"""Control networks and image encoders give bit-identical results with no, some or all weights in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes.control.adapter_config import AdapterConfig
from nodes.control.adapter_config import expected_shapes as adapter_shapes
from nodes.control.boxes import gligen_in
from nodes.control.controlnet import hint_of, residuals
from nodes.control.controlnet_config import UnionConfig
from nodes.control.controlnet_config import expected_shapes as controlnet_shapes
from nodes.control.gligen_config import GligenConfig, transformers
from nodes.control.gligen_config import expected_shapes as gligen_shapes
from nodes.control.loading import control_in
from nodes.control.style_config import StyleConfig
from nodes.control.style_config import expected_shapes as style_shapes
from nodes.control.style_model import style_model_in
from nodes.models.checkpoint import Checkpoint
from nodes.models.networks import network_factory
from nodes.models.residency import Residency
from nodes.models.stored_network import Source
from nodes.models.vision_config import VisionConfig
from nodes.models.vision_config import expected_shapes as vision_shapes
from nodes.vision.handle import clip_vision_in
from tests.nodes.control.small_control import CONTROL, UNET
from tests.oracle.control_networks import random_tensors

UNION = replace(CONTROL, union=UnionConfig(6, 1))
GLIGEN = GligenConfig(transformers(UNET), text=24, inner=32, width=40)


def drawn(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def controlnet(network: Any) -> Tensor:
    context = network.project_context(drawn(1, 77, 16))
    types = (2,) if network.control_config.union else ()
    hint = hint_of(network, drawn(1, 3, 64, 64), types)
    found = residuals(network, network, drawn(1, 4, 8, 8), hint, torch.tensor([500.0]), context)
    return torch.cat([residual.flatten() for residual in (*found.skips, found.middle) if residual is not None])


def adapter(network: Any) -> Tensor:
    return torch.cat([feature.flatten() for feature in network(drawn(1, 3, 64, 64))])


def gligen(network: Any) -> Tensor:
    tokens = network.position_net(drawn(2, 24), drawn(2, 4))
    channels = [channels for _, channels in GLIGEN.places]
    fused = [f(drawn(1, 9, c), tokens).flatten() for f, c in zip(network.fusers(), channels, strict=True)]
    return torch.cat(fused)


KINDS: list[Any] = [
    pytest.param(control_in, controlnet_shapes(CONTROL), controlnet, id="controlnet"),
    pytest.param(control_in, controlnet_shapes(UNION), controlnet, id="union"),
    pytest.param(control_in, adapter_shapes(AdapterConfig(channels=(32, 64))), adapter, id="adapter"),
    pytest.param(
        control_in, adapter_shapes(AdapterConfig(channels=(32, 64), blocks=2, light=True)), adapter, id="light-adapter"
    ),
    pytest.param(gligen_in, gligen_shapes(GLIGEN), gligen, id="gligen"),
    pytest.param(style_model_in, style_shapes(StyleConfig(64, 48, 5, 2)), lambda n: n(drawn(1, 9, 64)), id="style"),
    pytest.param(
        clip_vision_in,
        vision_shapes(VisionConfig(64, 2, 96, 14, 28, 32)),
        lambda n: torch.cat([t.flatten() for t in n(drawn(1, 3, 28, 28))]),
        id="vision",
    ),
]


@pytest.mark.parametrize(("open_handle", "shapes", "compute"), KINDS)
@torch.no_grad()
def test_absent_layers_change_no_bit(
    open_handle: Callable[[Checkpoint], Any],
    shapes: dict[str, tuple[int, ...]],
    compute: Callable[[Any], Tensor],
    tmp_path: Path,
) -> None:
    save_file(random_tensors(shapes), tmp_path / "n.safetensors")
    weights = open_handle(Checkpoint.open(tmp_path / "n.safetensors")).weights
    source = Source(weights, network_factory(type(weights.config)), torch.float32, torch.device("cpu"))
    expected = compute(Residency(lambda device, held: 1 << 40).resident(source))
    assert expected.isfinite().all()
    for budget in (0, 4 * weights.parameters * 90 // 100):
        residency = Residency(lambda device, held, budget=budget: budget)
        network = residency.resident(source)
        for _ in range(2):
            assert torch.equal(compute(network), expected)
        assert residency.nbytes("cpu") <= budget
