"""Inpainting, InstructPix2Pix and upscaling models: the whole run against diffusers' networks and schedulers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, EulerDiscreteScheduler
from safetensors.torch import save_file
from torch import Tensor

from nodes import device
from nodes.conditioning.nodes import (
    inpaint_model_conditioning,
    instruct_pix_to_pix_conditioning,
    sd_4x_upscale_conditioning,
)
from nodes.latent.newer_nodes import get_latent_size
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, vae_in
from nodes.models.handle import Model, Vae
from nodes.models.unet_config import UNetConfig
from nodes.models.vae_config import VaeConfig
from nodes.models.vae_config import expected_shapes as vae_shapes
from nodes.sampling.extra_channels import extra_channels
from nodes.vae import coding
from nodes.vae.network import autoencoder
from tests.nodes.control.small_control import sampled, text
from tests.oracle.control_networks import random_tensors
from tests.oracle.diffusers_unet import PREFIX, diffusers_unet, random_weights

SIDE, STEPS, SCALE, SEED = 16, 3, 3.0, 5
CONFIG = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 0),
    output_depth=(0, 0, 1, 1),
    context_width=768,
)
UPSCALER = UNetConfig(
    in_channels=7,
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(0, 1),
    output_depth=(1, 1, 0, 0),
    context_width=1024,
    linear_projections=True,
    classes=1000,
    head_count=8,
)


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Vae:
    config = VaeConfig(encoder_widths=(32, 32, 32, 32), encoder_blocks=1, decoder_widths=(32, 32, 32, 32))
    weights = random_tensors(vae_shapes(config))
    for name in ("quant_conv.weight", "quant_conv.bias"):
        weights[name][4:] = 0  # the log-variance …
    weights["quant_conv.bias"][4:] = -30  # … of almost nothing
    path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    save_file(weights, path)
    return vae_in(Checkpoint.open(path))


def model_of(folder: Path, config: UNetConfig) -> Model:
    save_file({PREFIX + n: t for n, t in random_weights(config).items()}, folder / "m.safetensors")
    return model_in(Checkpoint.open(folder / "m.safetensors"))


@torch.no_grad()
def theirs(
    config: UNetConfig,
    extra: Tensor,
    labels: Tensor | None = None,
    **scheduling: Any,
) -> Tensor:
    """The denoising loop as diffusers' pipelines have it; the result is scaled."""
    unet = diffusers_unet(config, random_weights(config))
    betas = {"beta_start": 0.00085, "beta_end": 0.012, **scheduling}
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="linspace", **betas)
    scheduler.set_timesteps(timesteps=[999, 500, 0])
    noise = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator("cpu").manual_seed(SEED))
    x = noise * (1 + scheduler.sigmas[0] ** 2) ** 0.5
    width = config.context_width
    for t in scheduler.timesteps:
        given = torch.cat([scheduler.scale_model_input(x, t), extra], dim=1)
        more = {} if labels is None else {"class_labels": labels}
        uncond, cond = (unet(given, t, text(seed, width)[0][0], **more).sample for seed in (2, 1))
        x = scheduler.step(uncond + SCALE * (cond - uncond), t, x).prev_sample
    return x


def agree(ours: Tensor, expected: Tensor) -> None:
    assert expected.isfinite().all() and expected.std() > 0.1
    assert (ours - expected).abs().max() <= 1e-3 * max(1.0, float(expected.abs().max()))


PIXELS = torch.rand(1, 8 * SIDE + 3, 8 * SIDE, 3, generator=torch.Generator().manual_seed(4))


def hole() -> Tensor:
    mask = torch.zeros(1, 8 * SIDE + 3, 8 * SIDE)
    mask[:, 33:90, 40:] = 1
    return mask


def test_inpainting_models_see_the_mask_and_the_masked_picture(vae: Vae, tmp_path: Path) -> None:
    config = replace(CONFIG, in_channels=9)
    found = inpaint_model_conditioning(
        positive=text(1, 768), negative=text(2, 768), vae=vae, pixels=PIXELS, mask=hole(), noise_mask=False
    )
    model = model_of(tmp_path, config)
    assert model.family.extra is not None and model.family.extra.kind == "inpainting"
    assert "noise_mask" not in found.latent
    cut, mask = PIXELS[:, 1:-2], hole()[:, 1:-2, None].movedim(2, 1)
    masked = torch.where(mask.movedim(1, -1) > 0.5, 0.5, cut)
    latent = coding.encode(autoencoder(vae), masked) * 0.18215
    small = F.interpolate(mask, size=(SIDE, SIDE), mode="bilinear").round()
    expected = theirs(config, torch.cat([small, latent], dim=1)) / 0.18215
    agree(sampled(model, found.positive, found.negative, SCALE), expected)
    torch.testing.assert_close(found.latent["samples"], coding.encode(autoencoder(vae), cut))


def test_a_noise_mask_keeps_the_rest(vae: Vae, tmp_path: Path) -> None:
    found = inpaint_model_conditioning(
        positive=text(1, 768), negative=text(2, 768), vae=vae, pixels=PIXELS, mask=hole()
    )
    latent = sampled(
        model_of(tmp_path, replace(CONFIG, in_channels=9)), found.positive, found.negative, SCALE, more=found.latent
    )
    kept = F.interpolate(found.latent["noise_mask"], size=(SIDE, SIDE), mode="bilinear")[0, 0] == 0
    torch.testing.assert_close(latent[..., kept], found.latent["samples"][..., kept])
    assert (latent - found.latent["samples"])[..., ~kept].abs().max() > 0.1


def test_without_a_picture_an_inpainting_model_takes_the_runs(tmp_path: Path) -> None:
    config = replace(CONFIG, in_channels=9)
    model = model_of(tmp_path, config)
    grey = torch.tensor([0.8223, -0.6876, 0.6364, 0.1380]).view(1, 4, 1, 1).expand(1, 4, SIDE, SIDE)
    expected = theirs(config, torch.cat([torch.ones(1, 1, SIDE, SIDE), grey], dim=1)) / 0.18215
    agree(sampled(model, text(1, 768), text(2, 768), SCALE), expected)
    mask, latent = torch.zeros(1, 1, SIDE, SIDE), torch.randn(1, 4, SIDE, SIDE)
    mask[..., 4:9, 6:] = 1
    ours = sampled(model, text(1, 768), text(2, 768), SCALE, more={"samples": latent, "noise_mask": mask}, steps=STEPS)
    assert ours.isfinite().all()
    torch.testing.assert_close(ours * (1 - mask), latent * (1 - mask))
    scaled = latent * 0.18215
    found = extra_channels(model, {}, scaled, mask.expand_as(latent), SEED)
    assert found is not None and torch.equal(found, torch.cat([mask, scaled], dim=1))


def test_instruct_pix2pix_models_see_the_picture(vae: Vae, tmp_path: Path) -> None:
    config = replace(CONFIG, in_channels=8)
    found = instruct_pix_to_pix_conditioning(positive=text(1, 768), negative=text(2, 768), vae=vae, pixels=PIXELS)
    picture = coding.encode(autoencoder(vae), PIXELS)
    assert torch.equal(found.latent["samples"], torch.zeros_like(picture))
    model = model_of(tmp_path, config)
    agree(sampled(model, found.positive, found.negative, SCALE), theirs(config, picture) / 0.18215)
    # A prompt without a picture, as in guidance by both: the picture is zeros.
    agree(sampled(model, text(1, 768), text(2, 768), SCALE), theirs(config, torch.zeros_like(picture)) / 0.18215)


@pytest.mark.parametrize(("augmentation", "level"), [(0.0, 0), (0.1, 35), (1.0, 350)])
def test_the_upscaler_sees_the_noised_small_picture(augmentation: float, level: int, tmp_path: Path) -> None:
    images = torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(4))
    found = sd_4x_upscale_conditioning(
        images=images, positive=text(1, 1024), negative=text(2, 1024), noise_augmentation=augmentation
    )
    assert found.latent["samples"].shape == (1, 4, SIDE, SIDE)
    model = model_of(tmp_path, UPSCALER)
    assert model.family.name == "sd2_upscaler"
    picture = images.movedim(-1, 1) * 2 - 1
    if level:
        low_res = DDPMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="scaled_linear")
        noise = torch.randn(picture.shape, generator=torch.Generator("cpu").manual_seed(2**64 + SEED - 10))
        picture = low_res.add_noise(picture, noise, torch.tensor([level]))
    expected = theirs(
        UPSCALER,
        picture,
        torch.tensor([level]),
        prediction_type="v_prediction",
        beta_start=0.0001,
        beta_end=0.02,
    )
    agree(sampled(model, found.positive, found.negative, SCALE), expected / 0.08333)


def test_other_ratios_of_enlargement() -> None:
    found = sd_4x_upscale_conditioning(
        images=torch.rand(2, 30, 50, 3), positive=text(1), negative=text(2), scale_ratio=2.0
    )
    assert found.positive[0][1]["concat_image"].shape == (2, 3, 15, 25)
    assert found.latent["samples"].shape == (2, 4, 15, 25)
    assert get_latent_size(samples=found.latent) == (100, 60)
