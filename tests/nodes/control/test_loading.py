"""Detecting control networks in files, and the errors for other files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.control.controlnet_config import ControlNetConfig, UnionConfig, detect_controlnet, expected_shapes
from nodes.control.loading import control_in
from nodes.models import unet_config
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import AbsentModelError
from tests.nodes.control.small_control import UNET
from tests.oracle.diffusers_unet import random_weights

SDXL = replace(unet_config.SDXL, output_depth=(0,) * 9)


@pytest.mark.parametrize(
    "unet",
    [
        replace(unet_config.SD1, output_depth=(0,) * 12),
        replace(unet_config.SD2, output_depth=(0,) * 12),
        SDXL,
        replace(SDXL, input_depth=(0,) * 6, middle_depth=0, context_width=0, linear_projections=False),
    ],
    ids=["sd1", "sd2", "sdxl", "sdxl-small"],
)
@pytest.mark.parametrize("union", [None, UnionConfig(6, 1), UnionConfig(8, 1)])
def test_published_sizes_are_read_from_their_shapes(unet: unet_config.UNetConfig, union: UnionConfig | None) -> None:
    config = ControlNetConfig(unet, union=union)
    shapes = {f"control_model.{name}": shape for name, shape in expected_shapes(config).items()}
    assert detect_controlnet(shapes, "control_model.") == config


def test_the_network_has_the_tensors_that_its_sizes_say() -> None:
    from nodes.control.controlnet import ControlNet

    for union in (None, UnionConfig(8, 1)):
        config = ControlNetConfig(SDXL, union=union)
        with torch.device("meta"):
            network = ControlNet(config)
        assert {n: tuple(t.shape) for n, t in network.state_dict().items()} == expected_shapes(config)
    # arXiv:2302.05543's network for SD1.5 has 361 million parameters.
    assert round(ControlNetConfig(replace(unet_config.SD1, output_depth=(0,) * 12)).parameters / 1e6) == 361


def test_a_file_that_is_none_says_what_it_is(tmp_path: Path) -> None:
    def refused(tensors: dict[str, torch.Tensor]) -> str:
        save_file(tensors, tmp_path / "file.safetensors")
        with pytest.raises(AbsentModelError) as error:
            control_in(Checkpoint.open(tmp_path / "file.safetensors"))
        return str(error.value)

    assert "is a LoRA; expected a ControlNet" in refused({"lora_unet_x.lora_up.weight": torch.zeros(1, 1)})
    assert "is a U-Net; expected a ControlNet" in refused(random_weights(UNET))
    assert "ControlNet of a transformer family" in refused({"controlnet_blocks.0.weight": torch.zeros(1)})
    assert "ControlNet-LLLite" in refused({"lllite_unet_x.down.0.weight": torch.zeros(1)})
    assert "holds something.else; expected" in refused({"something.else": torch.zeros(1)})


def test_a_difference_needs_a_model(tmp_path: Path) -> None:
    shapes = expected_shapes(ControlNetConfig(replace(UNET, output_depth=(0,) * 4)))
    tensors = {f"control_model.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    save_file({**tensors, "difference": torch.zeros(1)}, tmp_path / "diff.safetensors")
    with pytest.raises(CheckpointError, match="DiffControlNetLoader"):
        control_in(Checkpoint.open(tmp_path / "diff.safetensors"))


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    shapes = expected_shapes(ControlNetConfig(replace(UNET, output_depth=(0,) * 4)))
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items() if name != "zero_convs.1.0.bias"}
    save_file(tensors, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match=r"tensors are missing: zero_convs.1.0.bias"):
        control_in(Checkpoint.open(tmp_path / "c.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("unet", [unet_config.SD1, unet_config.SD2, unet_config.SDXL], ids=["sd1", "sd2", "sdxl"])
@torch.no_grad()
def test_residuals_of_published_sizes_fit_the_model(unet: unet_config.UNetConfig) -> None:
    """At 576 × 768 pixels, on the meta device: shapes only."""
    from nodes.control.controlnet import ControlNet, hint_of, residuals
    from nodes.unet.unet import UNet

    with torch.device("meta"):
        config = ControlNetConfig(replace(unet, output_depth=(0,) * len(unet.output_depth)))
        control, model = ControlNet(config), UNet(unet)
        x, timesteps = torch.zeros(2, 4, 96, 72), torch.zeros(2)
        context = torch.zeros(2, 77, unet.context_width)
        y = None if unet.adm_in_channels is None else torch.zeros(2, unet.adm_in_channels)
        hint = hint_of(control, torch.zeros(2, 3, 768, 576))
        found = residuals(control, control, x, hint, timesteps, control.project_context(context), y)
        assert model(x, timesteps, context, y, found).shape == x.shape
    widths = [(width, 96 // factor, 72 // factor) for width, factor in unet_config.skips(unet)]
    assert [tuple(skip.shape[1:]) for skip in found.skips if skip is not None] == widths
    assert found.middle is not None and tuple(found.middle.shape[1:]) == widths[-1]
