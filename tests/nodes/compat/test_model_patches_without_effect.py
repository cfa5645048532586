"""A model with changes that have no effect gives the same results as an unchanged one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.random_checkpoint import write_random_checkpoint
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.unet_config import UNetConfig, expected_shapes
from nodes.unet.unet import Control
from tests.nodes.compat.patched_model import CLOSE, SIDE, needed, sampled, text

pytestmark = [needed, pytest.mark.usefixtures("names")]


def without_effect(model: Any) -> Any:
    """Return the model with a pack's function that returns its input."""
    cloned = model.clone()
    cloned.set_model_sampler_post_cfg_function(lambda arguments: arguments["denoised"])
    return cloned


@pytest.mark.parametrize(
    "sampler", ["euler", "dpmpp_2m", "heun", "euler_ancestral", "dpmpp_2m_sde", "euler_cfg_pp", "ddim"]
)
def test_a_patch_without_effect_changes_nothing(model: Any, sampler: str) -> None:
    torch.testing.assert_close(
        sampled(without_effect(model), sampler=sampler), sampled(model, sampler=sampler), **CLOSE
    )


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_nor_at_the_ends_of_guidance(model: Any, scale: float) -> None:
    torch.testing.assert_close(sampled(without_effect(model), scale=scale), sampled(model, scale=scale), **CLOSE)


def test_nor_with_areas_masks_times_and_strengths(model: Any) -> None:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, :, :5] = 0.7
    positive = [
        text(1, area=(4, 4, 2, 2), strength=0.8),
        text(4, mask=mask, mask_strength=0.5),
        text(5, start_percent=0.0, end_percent=0.6),
        text(6, mask=mask, set_area_to_bounds=True),
    ]
    arguments: Any = {"positive": positive, "batch": 2, "steps": 3}
    torch.testing.assert_close(sampled(without_effect(model), **arguments), sampled(model, **arguments), **CLOSE)


class Steering:
    """A stand-in for a ControlNet."""

    def residuals(self, x: Tensor, timesteps: Tensor, context: Tensor, y: Any, **_: Any) -> Control:
        assert x.shape[0] == timesteps.shape[0] == context.shape[0]
        return Control(middle=torch.full((len(x), 1, 1, 1), 20.0) * x.mean(dim=(1, 2, 3), keepdim=True))


def test_nor_with_control(model: Any) -> None:
    arguments: Any = {"positive": [text(1, control=Steering(), control_apply_to_uncond=True)]}
    steered = sampled(model, **arguments)
    torch.testing.assert_close(sampled(without_effect(model), **arguments), steered, **CLOSE)
    assert (steered - sampled(model)).abs().max() > 0.01


@pytest.mark.parametrize(("width", "family"), [(2048, "SDXL"), (1280, "SDXLRefiner"), (1024, "BaseModel")])
def test_nor_with_other_families(tmp_path: Path, width: int, family: str) -> None:
    import comfy.model_base

    from nodes.compat.comfy._diffusion_model import DiffusionModel

    config = UNetConfig(
        model_channels=64,
        channel_mult=(1, 2),
        res_blocks=(1, 1),
        input_depth=(0, 1),
        output_depth=(1, 1, 0, 0),
        context_width=width,
        adm_in_channels=None if width == 1024 else 6 * 256 + 16 if width == 2048 else 5 * 256 + 16,
        linear_projections=True,
    )
    write_random_checkpoint(tmp_path / "unet.safetensors", expected_shapes(config))
    model = DiffusionModel(contents.model_in(Checkpoint.open(tmp_path / "unet.safetensors")))
    assert type(model.model) is getattr(comfy.model_base, family)
    generator = torch.Generator().manual_seed(0)
    sides: Any = {}
    for side in ("positive", "negative"):
        pooled = {"pooled_output": torch.randn(1, 16, generator=generator), "width": 512, "height": 768}
        sides[side] = [[torch.randn(1, 77, width, generator=generator), {} if width == 1024 else pooled]]
    torch.testing.assert_close(sampled(without_effect(model), **sides), sampled(model, **sides), **CLOSE)


@pytest.mark.parametrize("sampler", ["euler", "ddim", "dpmpp_sde"])
def test_nor_under_a_mask(model: Any, sampler: str) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    latent = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(7))
    arguments: Any = {"mask": mask, "latent": latent, "sampler": sampler, "steps": 3}
    expected = sampled(model, **arguments)
    torch.testing.assert_close(sampled(without_effect(model), **arguments), expected, **CLOSE)
    torch.testing.assert_close(expected[..., :3], latent[..., :3], rtol=1e-3, atol=1e-3)
