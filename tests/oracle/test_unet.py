"""Our U-Net against diffusers' on the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors import safe_open

from nodes.models.unet_config import KOALA_1B, KOALA_700M, SDXL, SSD_1B, VEGA, UNetConfig, expected_shapes
from nodes.models.unet_detection import detect_unet
from nodes.unet.timestep_embedding import timestep_embedding
from nodes.unet.unet import Control, UNet
from tests.oracle.diffusers_unet import PREFIX, SIZES, diffusers_kwargs, diffusers_unet, random_weights

SD1_LIKE = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2, 2),
    res_blocks=(2, 2, 2),
    input_depth=(1, 1, 1, 1, 0, 0),
    output_depth=(0, 0, 0, 1, 1, 1, 1, 1, 1),
    context_width=48,
)
SD2_LIKE = replace(SD1_LIKE, model_channels=64, linear_projections=True)
SDXL_LIKE = replace(
    SD2_LIKE,
    channel_mult=(1, 2, 4),
    input_depth=(0, 0, 1, 1, 3, 3),
    middle_depth=3,
    output_depth=(3, 3, 3, 1, 1, 1, 0, 0, 0),
    adm_in_channels=40 + 6 * 256,
)
REFINER_LIKE = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2, 2, 2),
    input_depth=(0, 0, 2, 2, 2, 2, 0, 0),
    middle_depth=2,
    output_depth=(0, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 0),
    context_width=56,
    adm_in_channels=40 + 6 * 256,
    linear_projections=True,
)
INPAINTING = replace(SD1_LIKE, in_channels=9)
# Pruned SDXL networks: SSD-1B has fewer layers, other numbers in the decoder and a middle without attention,
# KOALA-700M one residual block a level and no middle.
SSD_LIKE = replace(
    SDXL_LIKE, input_depth=(0, 0, 2, 2, 1, 1), middle_depth=None, output_depth=(1, 1, 3, 2, 1, 1, 0, 0, 0)
)
VEGA_LIKE = replace(
    SDXL_LIKE, input_depth=(0, 0, 1, 1, 2, 2), middle_depth=None, output_depth=(2, 2, 2, 1, 1, 1, 0, 0, 0)
)
KOALA_1B_LIKE = replace(
    SDXL_LIKE, res_blocks=(1, 1, 1), input_depth=(0, 1, 2), middle_depth=2, output_depth=(2, 2, 1, 1, 0, 0)
)
KOALA_700M_LIKE = replace(KOALA_1B_LIKE, middle_depth=None, has_middle=False)
UPSCALER_LIKE = UNetConfig(
    in_channels=7,
    model_channels=64,
    channel_mult=(1, 2, 2, 4),
    res_blocks=(1, 1, 1, 1),
    input_depth=(0, 1, 1, 1),
    output_depth=(1, 1, 1, 1, 1, 1, 0, 0),
    context_width=48,
    classes=1000,
    linear_projections=True,
    text_only=(False, True, True, False),
    head_count=8,
)
FAMILY = {
    "sd1": SD1_LIKE,
    "sd2": SD2_LIKE,
    "sdxl": SDXL_LIKE,
    "refiner": REFINER_LIKE,
    "inpainting": INPAINTING,
    "ssd-1b": SSD_LIKE,
    "vega": VEGA_LIKE,
    "koala-1b": KOALA_1B_LIKE,
    "koala-700m": KOALA_700M_LIKE,
    "upscaler": UPSCALER_LIKE,
}
TINY = Path(__file__).parents[2] / "models" / "checkpoints" / "sumi-tiny.safetensors"


def ours(config: UNetConfig, weights: dict[str, torch.Tensor]) -> UNet:
    unet = UNet(config)
    unet.load_state_dict(weights)
    return unet


@pytest.fixture(scope="module", params=FAMILY)
def networks(request):
    config = FAMILY[request.param]
    weights = random_weights(config)
    return ours(config, weights), diffusers_unet(config, weights)


def inputs(config: UNetConfig, batch: int, height: int, width: int, tokens: int):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, config.in_channels, height, width, generator=generator)
    context = torch.randn(batch, tokens, config.context_width, generator=generator)
    timesteps = torch.tensor([981.0, 3.0, 500.5, 0.0])[:batch]
    if config.classes is not None:
        labels = torch.tensor([20, 0, 350, 999])[:batch]
        return x, timesteps, context, labels, {"class_labels": labels}
    if config.adm_in_channels is None:
        return x, timesteps, context, None, {}
    pooled = torch.randn(batch, config.adm_in_channels - SIZES * 256, generator=generator)
    sizes = torch.tensor([[1024.0, 768, 0, 16, 1024, 1024]]).repeat(batch, 1)
    y = torch.cat([pooled, timestep_embedding(sizes.flatten(), 256).view(batch, -1)], dim=1)
    return x, timesteps, context, y, {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}


def assert_agrees(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    limit = tolerance * max(1.0, expected.abs().max().item())
    assert (found - expected).abs().max().item() <= limit


@pytest.mark.parametrize(
    ("batch", "height", "width", "tokens"),
    [(1, 16, 16, 77), (2, 16, 24, 77), (4, 8, 8, 154), (2, 9, 13, 77), (1, 5, 31, 7)],
)
@torch.no_grad()
def test_agrees_with_diffusers(networks, batch, height, width, tokens):
    unet, reference = networks
    x, timesteps, context, y, added = inputs(unet.config, batch, height, width, tokens)
    expected = reference(x, timesteps, context, **added).sample
    assert_agrees(unet(x, timesteps, context, y), expected)


@torch.no_grad()
def test_control_residuals_agree_with_diffusers():
    weights = random_weights(SD1_LIKE)
    x, timesteps, context, _, _ = inputs(SD1_LIKE, 2, 16, 24, 77)
    reference = diffusers_unet(SD1_LIKE, weights)
    generator = torch.Generator().manual_seed(2)
    channels = [64, 64, 64, 64, 128, 128, 128, 128, 128]
    scales = [1, 1, 1, 2, 2, 2, 4, 4, 4]
    skips = [torch.randn(2, c, 16 // s, 24 // s, generator=generator) for c, s in zip(channels, scales, strict=True)]
    middle = torch.randn(2, 128, 4, 6, generator=generator)
    expected = reference(
        x,
        timesteps,
        context,
        down_block_additional_residuals=tuple(skips),
        mid_block_additional_residual=middle,
    ).sample
    assert_agrees(ours(SD1_LIKE, weights)(x, timesteps, context, control=Control(skips, middle)), expected)


@pytest.mark.skipif(not TINY.exists(), reason="the embedded model is not there")
@torch.no_grad()
def test_embedded_model_agrees_with_diffusers():
    with safe_open(TINY, "pt") as file:
        names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118
        weights = {name.removeprefix(PREFIX): file.get_tensor(name).float() for name in names}
        config = detect_unet({n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}, PREFIX)  # noqa: SIM118
    x, timesteps, context, _, _ = inputs(config, 2, 16, 16, 77)
    expected = diffusers_unet(config, weights)(x, timesteps, context).sample
    assert_agrees(ours(config, weights)(x, timesteps, context), expected)


PUBLISHED = {
    # What the repositories' unet/config.json say beyond SDXL's own.
    "segmind/SSD-1B": (
        SSD_1B,
        {
            "transformer_layers_per_block": [1, [2, 2], [4, 4]],
            "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
            "mid_block_type": "UNetMidBlock2D",
        },
    ),
    "segmind/Segmind-Vega": (
        VEGA,
        {
            "transformer_layers_per_block": [1, 1, 2],
            "reverse_transformer_layers_per_block": [2, 1, 1],
            "mid_block_type": "UNetMidBlock2D",
        },
    ),
    "etri-vilab/koala-1b": (KOALA_1B, {"layers_per_block": 1, "transformer_layers_per_block": [1, 2, 6]}),
    "etri-vilab/koala-700m-llava-cap": (
        KOALA_700M,
        {"layers_per_block": 1, "transformer_layers_per_block": [1, 2, 5], "mid_block_type": None},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_pruned_networks_have_the_tensors_of_their_published_configurations(name: str) -> None:
    config, published = PUBLISHED[name]
    kwargs = {**diffusers_kwargs(SDXL), **published}
    with torch.device("meta"):
        expected = {n: t.shape for n, t in UNet2DConditionModel(**kwargs).state_dict().items()}
        ours = {PREFIX + n: torch.empty(shape) for n, shape in expected_shapes(config).items()}
    assert {n: t.shape for n, t in convert_ldm_unet_checkpoint(ours, {**kwargs}).items()} == expected
