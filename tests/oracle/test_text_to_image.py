"""The whole way from prompt to picture with the embedded model, against transformers and diffusers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from torch import Tensor
from transformers import CLIPTokenizer

from nodes import device
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, text_encoder_in, vae_in
from nodes.sampling.nodes import ksampler
from nodes.text.nodes import clip_text_encode
from nodes.text.tokenizer import merges, vocabulary
from nodes.vae.coding import decode
from nodes.vae.network import autoencoder
from tests.oracle.diffusers_unet import diffusers_unet
from tests.oracle.test_text import oracle as transformers_text_encoder

CHECKPOINT = Path(__file__).parents[2] / "models" / "checkpoints" / "sumi-tiny.safetensors"
STEPS, SCALE, SEED, SIZE = 8, 5.0, 11, 12
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LATENT_TOLERANCE, PICTURE_TOLERANCE = 2e-3, 1.5 / 255


class Silent:
    """A context that nobody listens to."""

    def progress(self, value: float, maximum: float, preview: Any = None) -> None: ...

    def check_interrupted(self) -> None: ...


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@cache
def checkpoint() -> Checkpoint:
    return Checkpoint.open(CHECKPOINT)


def weights(prefix: str) -> dict[str, Tensor]:
    names = [name for name in checkpoint().shapes if name.startswith(prefix)]
    return {name.removeprefix(prefix): checkpoint().tensor(name).float() for name in names}


@cache
def their_unet() -> UNet2DConditionModel:
    return diffusers_unet(model_in(checkpoint()).config, weights("model.diffusion_model."))


@cache
def their_vae() -> AutoencoderKL:
    config = vae_in(checkpoint()).config
    levels = len(config.encoder_widths)
    vae = AutoencoderKL(
        block_out_channels=config.encoder_widths,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        layers_per_block=config.encoder_blocks,
        latent_channels=config.latent_channels,
    )
    vae.load_state_dict(convert_ldm_vae_checkpoint(weights("first_stage_model."), vae.config))
    return vae.eval()


@torch.no_grad()
def their_text(prompt: str) -> Tensor:
    tokenizer = CLIPTokenizer(vocab=vocabulary(), merges=merges())
    ids = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt")["input_ids"]
    encoder = transformers_text_encoder(
        text_encoder_in(checkpoint()).encoder("l").config, weights("cond_stage_model.transformer.")
    )
    return encoder(ids).last_hidden_state


@torch.no_grad()
def their_latent(scheduler: Any, prompt: str, timesteps: list[int], latent: Tensor | None = None) -> Tensor:
    """The denoising loop as diffusers' pipelines have it; the result is unscaled."""
    text = torch.cat([their_text(""), their_text(prompt)])
    noise = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator("cpu").manual_seed(SEED))
    x = noise * scheduler.init_noise_sigma
    if latent is not None:
        x = scheduler.add_noise(latent * 0.18215, noise, torch.tensor(timesteps[:1]))
    for t in timesteps:
        pair = scheduler.scale_model_input(torch.cat([x, x]), t)
        uncond, cond = their_unet()(pair, t, encoder_hidden_states=text).sample.chunk(2)
        x = scheduler.step(uncond + SCALE * (cond - uncond), t, x).prev_sample
    return x / 0.18215


def our_latent(sampler: str, scheduler: str, prompt: str, latent: Tensor, denoise: float = 1.0) -> Tensor:
    clip = text_encoder_in(checkpoint())
    return ksampler(
        context=Silent(),
        model=model_in(checkpoint()),
        seed=SEED,
        steps=STEPS,
        cfg=SCALE,
        sampler_name=sampler,
        scheduler=scheduler,
        positive=clip_text_encode(text=prompt, clip=clip),
        negative=clip_text_encode(text="", clip=clip),
        latent_image={"samples": latent},
        denoise=denoise,
    )["samples"]


def agree(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).abs().max() <= LATENT_TOLERANCE * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("prompt", ["a red apple", "一个红苹果"])
def test_euler_agrees_with_diffusers_to_the_picture(prompt: str) -> None:
    # Spaced like this it starts from noise * sqrt(1 + sigma²), as we do.
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="leading")
    scheduler.set_timesteps(timesteps=[999 - i * 1000 // STEPS for i in range(STEPS)])
    theirs = their_latent(scheduler, prompt, scheduler.timesteps.tolist())
    ours = our_latent("euler", "simple", prompt, torch.zeros(1, 4, SIZE, SIZE))
    agree(ours, theirs)
    picture = decode(autoencoder(vae_in(checkpoint())), ours)
    with torch.no_grad():
        expected = ((their_vae().decode(theirs).sample + 1) / 2).clamp(0, 1).movedim(1, -1)
    assert (picture - expected).abs().max() <= PICTURE_TOLERANCE


def test_ddim_agrees_with_diffusers() -> None:
    scheduler = DDIMScheduler(**BETAS, steps_offset=1, set_alpha_to_one=True, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    theirs = their_latent(scheduler, "a blue car", scheduler.timesteps.tolist(), latent=torch.zeros(1, 4, SIZE, SIZE))
    ours = our_latent("ddim", "ddim_uniform", "a blue car", torch.zeros(1, 4, SIZE, SIZE))
    agree(ours, theirs)


def test_image_to_image_agrees_with_diffusers() -> None:
    scheduler = DDIMScheduler(**BETAS, steps_offset=1, set_alpha_to_one=True, clip_sample=False)
    scheduler.set_timesteps(2 * STEPS)
    latent = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(3)) * 4
    theirs = their_latent(scheduler, "a dog", scheduler.timesteps.tolist()[STEPS:], latent=latent)
    agree(our_latent("ddim", "ddim_uniform", "a dog", latent, denoise=0.5), theirs)
