"""Draws sample grids with fixed prompts and seeds, so that the grids of a run can be compared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nodes.models.handle import Model
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.training.caption_check import CaptionErrors, caption_errors
from nodes.training.captions import token_ids
from nodes.training.live import LiveWeights
from nodes.training.networks import TextPath
from nodes.training.objective import prediction_of
from nodes.unet.unet import UNet
from nodes.vae.autoencoder import AutoencoderKL
from nodes.vae.coding import decode

STEPS, GUIDANCE = 20, 5.0


class SampleGrid:
    """Draws every prompt with every seed, using a copy of the networks with their current weights."""

    def __init__(
        self,
        model: Model,
        unet: UNet,
        text: TextPath,
        vae: AutoencoderKL,
        prompts: Sequence[str],
        shape: Sequence[int],
        *,
        seeds: int = 2,
        check_interrupted: Callable[[], None] = lambda: None,
    ):
        """Make a grid for latents of ``shape`` [C, h, w].

        ``check_interrupted`` is called after every step and may raise.
        """
        self._check_interrupted = check_interrupted
        self._unet = copy.deepcopy(unet).requires_grad_(False)
        self._unet.recomputes_blocks = False
        self._text = text._replace(encoder=copy.deepcopy(text.encoder).requires_grad_(False))
        self._vae = vae
        self._device = next(unet.parameters()).device
        live: Any = LiveWeights(self._unet, model.weights.config)
        self._model = replace(model, weights=live)
        self._prompts = prompts
        self._shape = shape
        self._seeds = seeds

    def use(self, unet: Mapping[str, Tensor], text: Mapping[str, Tensor]) -> None:
        """Use these weights from now on. Weights that are not named stay unchanged."""
        self._unet.load_state_dict(dict(unet), strict=False)
        self._text.encoder.load_state_dict(dict(text), strict=False)

    @torch.no_grad()
    def check(self, latents: Tensor, captions: Sequence[str]) -> list[CaptionErrors]:
        """Measure how much captions matter for scaled ``latents`` [B, C, h, w]."""
        ids = torch.stack([token_ids(caption) for caption in (*captions, "")]).to(self._device)
        embeddings = self._text(ids).hidden
        levels = self._model.sampling.levels()
        return caption_errors(
            lambda noisy, timesteps, given: self._unet(noisy, timesteps.float(), given),
            latents.to(self._device),
            embeddings[:-1],
            embeddings[-1:],
            levels.sigmas,
            prediction_of(levels),
        )

    @torch.no_grad()
    def draw(self) -> Tensor:
        """Draw one picture [H, W, 3] in 0..1 with a row per prompt and a column per seed."""
        sigmas = sigmas_for("normal", STEPS, self._model.sampling.levels(), 1.0, False)
        empty = self._conditioning("")
        noise = torch.cat([initial_noise((1, *self._shape), seed) for seed in range(self._seeds)])
        rows = []
        for prompt in self._prompts:
            latents = sample(
                self._model,
                noise,
                sigmas,
                sampler=SAMPLERS["euler"],
                positive=self._conditioning(prompt),
                negative=empty,
                scale=GUIDANCE,
                latent=torch.zeros_like(noise),
                seed=0,
                on_step=lambda done: self._check_interrupted(),
            )
            rows.append(torch.cat([decode(self._vae, latent.unsqueeze(0))[0] for latent in latents], dim=1))
        return torch.cat(rows)

    def _conditioning(self, prompt: str) -> list[list[Any]]:
        encoded = self._text(token_ids(prompt).unsqueeze(0).to(self._device))
        return [[encoded.hidden.float().cpu(), {"pooled_output": encoded.pooled.float().cpu()}]]
