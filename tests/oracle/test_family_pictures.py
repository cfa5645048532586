"""From prompt to latent with small SD2, SDXL and refiner checkpoints, against diffusers and transformers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import EDMEulerScheduler, EulerDiscreteScheduler
from torch import Tensor

from nodes import device
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, text_encoder_in
from nodes.sampling.nodes import ksampler
from nodes.text.nodes import clip_text_encode
from tests.oracle.diffusers_unet import diffusers_unet
from tests.oracle.small_checkpoints import REFINER, SD2, SDXL, Small
from tests.oracle.test_openclip import hidden_and_pooled, padded
from tests.oracle.test_text import oracle

PROMPT, STEPS, SCALE, SEED, SIZE = "a red apple on a table", 4, 4.0, 11, 8
BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TOLERANCE = 1e-4
"""Tolerance as a fraction of the largest value, tighter than for final latents, so that a small offset is noticed."""


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def our_latent(path: Path, scheduler: str) -> Tensor:
    checkpoint = Checkpoint.open(path)
    clip = text_encoder_in(checkpoint)
    context: Any = SimpleNamespace(progress=lambda *_: None, check_interrupted=lambda: None)
    return ksampler(
        context=context,
        model=model_in(checkpoint),
        seed=SEED,
        steps=STEPS,
        cfg=SCALE,
        sampler_name="euler",
        scheduler=scheduler,
        positive=clip_text_encode(text=PROMPT, clip=clip),
        negative=clip_text_encode(text="", clip=clip),
        latent_image={"samples": torch.zeros(1, 4, SIZE, SIZE)},
    )["samples"]


def their_text(small: Small) -> tuple[Tensor, Tensor]:
    """Embeddings and pooled vectors of the empty prompt and of the prompt."""
    embeddings, pooled = [], torch.empty(0)
    for name, (_, config, _) in small.encoders.items():
        model = oracle(config, small.text_weights(name))
        ids = torch.cat([padded(text, 49407 if name == "l" else 0) for text in ("", PROMPT)])
        hidden, pooled = hidden_and_pooled(model, ids, -2, norm=name == "h")
        embeddings.append(hidden)
    return torch.cat(embeddings, dim=-1), pooled


@torch.no_grad()
def their_latent(small: Small, scheduler: Any, sizes: Tensor | None) -> Tensor:
    """The denoising loop as diffusers' pipelines have it; the result is scaled."""
    unet = diffusers_unet(small.unet, small.weights())
    text, pooled = their_text(small)
    added = {} if sizes is None else {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
    noise = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator("cpu").manual_seed(SEED))
    x = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        pair = scheduler.scale_model_input(torch.cat([x, x]), t)
        uncond, cond = unet(pair, t, encoder_hidden_states=text, **added).sample.chunk(2)
        x = scheduler.step(uncond + SCALE * (cond - uncond), t, x).prev_sample
    return x


def agree(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.isfinite().all() and theirs.std() > 0.1
    assert (ours - theirs).abs().max() <= TOLERANCE * max(1.0, float(theirs.abs().max()))


def euler(**options: Any) -> EulerDiscreteScheduler:
    # Spaced like this it starts from noise * sqrt(1 + sigma²), as we do.
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", **options)
    scheduler.set_timesteps(timesteps=[999 - i * 1000 // STEPS for i in range(STEPS)])
    return scheduler


SIDE = SIZE * 8
SDXL_IDS = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]] * 2, dtype=torch.float32)
REFINER_IDS = torch.tensor([[SIDE, SIDE, 0, 0, 2.5], [SIDE, SIDE, 0, 0, 6]], dtype=torch.float32)


@pytest.mark.parametrize(
    ("small", "options", "sizes", "scale", "markers"),
    [
        (SD2, {"prediction_type": "v_prediction"}, None, 0.18215, ()),
        (SDXL, {}, SDXL_IDS, 0.13025, ()),
        (SDXL, {"prediction_type": "v_prediction"}, SDXL_IDS, 0.13025, ("v_pred",)),
        (REFINER, {}, REFINER_IDS, 0.13025, ()),
    ],
    ids=["sd2", "sdxl", "sdxl-v", "refiner"],
)
def test_text_to_image_agrees_with_diffusers(
    small: Small, options: dict[str, Any], sizes: Tensor | None, scale: float, markers: tuple[str, ...], tmp_path: Path
) -> None:
    path = small.write(tmp_path / "m.safetensors", {name: torch.zeros(1) for name in markers})
    agree(our_latent(path, "simple"), their_latent(small, euler(**options), sizes) / scale)


PLAYGROUND_MEAN = torch.tensor([-1.6574, 1.886, -1.383, 2.5155])
PLAYGROUND_STD = torch.tensor([8.4927, 5.9022, 6.5498, 5.2299])


@pytest.mark.parametrize("kind", ["playground", "cosxl"])
def test_edm_models_agree_with_diffusers(kind: str, tmp_path: Path) -> None:
    edm = partial(EDMEulerScheduler, sigma_min=0.002, sigma_schedule="karras")
    if kind == "playground":
        markers = {"edm_mean": PLAYGROUND_MEAN, "edm_std": PLAYGROUND_STD}
        scheduler = edm(sigma_max=80.0, sigma_data=0.5, prediction_type="epsilon")
    else:
        markers = {"edm_vpred.sigma_max": torch.tensor(120.0)}
        scheduler = edm(sigma_max=120.0, sigma_data=1.0, prediction_type="v_prediction")
    scheduler.set_timesteps(STEPS)
    theirs = their_latent(SDXL, scheduler, SDXL_IDS)
    if kind == "playground":
        theirs = theirs * PLAYGROUND_STD.view(1, 4, 1, 1) / 0.5 + PLAYGROUND_MEAN.view(1, 4, 1, 1)
    else:
        theirs = theirs / 0.13025
    agree(our_latent(SDXL.write(tmp_path / "m.safetensors", markers), "karras"), theirs)
