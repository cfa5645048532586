"""Our U-Net against diffusers' on the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from nodes.models.unet_config import UNetConfig
from nodes.models.unet_detection import detect_unet
from nodes.unet.timestep_embedding import timestep_embedding
from nodes.unet.unet import Control, UNet
from tests.oracle.diffusers_unet import PREFIX, SIZES, diffusers_unet, random_weights

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
FAMILY = {
    "sd1": SD1_LIKE,
    "sd2": SD2_LIKE,
    "sdxl": SDXL_LIKE,
    "refiner": REFINER_LIKE,
    "inpainting": INPAINTING,
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
    if config.adm_in_channels is None:
        return x, timesteps, context, None, {}
    pooled = torch.randn(batch, config.adm_in_channels - SIZES * 256, generator=generator)
    sizes = torch.tensor([[1024.0, 768, 0, 16, 1024, 1024]]).repeat(batch, 1)
    y = torch.cat([pooled, timestep_embedding(sizes.flatten(), 256).view(batch, -1)], dim=1)
    return x, timesteps, context, y, {"text_embeds": pooled, "time_ids": sizes}


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
    expected = reference(x, timesteps, context, added_cond_kwargs=added).sample
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
