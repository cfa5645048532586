"""Distils a latent consistency model, which draws in a few steps without guidance, as a LoRA.

Luo et al., "Latent Consistency Models" (arXiv:2310.04378), algorithm 1, with the LoRA of "LCM-LoRA" (arXiv:2311.05556).
The teacher is the model with classifier-free guidance, the student the same model with the LoRA. Both predict the clean
latent of one noisy latent: the student at a noise level, its target one step of the teacher (DDIM, arXiv:2010.02502)
further down the same path. The student at the lowest level is the latent itself, so that agreement along the path
means that every point of it leads to the path's end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from graph.context import Context
from nodes.models.handle import Clip, Model
from nodes.models.model_sampling import ConsistencySampling, ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.training.adapters import switched_off
from nodes.training.captions import CaptionedBatches, token_ids
from nodes.training.errors import TrainingError
from nodes.training.latents import EncodedDataset
from nodes.training.loop import Settings
from nodes.training.lora import LoraTensors, adapted_unet, named_tensors, parameters_of
from nodes.training.networks import text_path_of
from nodes.training.objective import prediction_of
from nodes.training.state import write_tensors
from nodes.training.watching import train_in_folder

HUBER: Final = 0.001
"""The c of the pseudo-Huber distance √(d² + c²) - c, between squared (below) and absolute error (above)."""

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``denoise(x, sigma, timesteps)`` returns the clean latent [B, C, h, w] that a network predicts for ``x``."""


@dataclass(frozen=True)
class ConsistencySettings:
    """The settings of a distillation.

    ``guidance`` is the scale that the teacher uses and the student learns, away from the prompt ``negative``.
    """

    batch_size: int
    rank: int
    guidance: float
    negative: str = ""


@dataclass(frozen=True, eq=False)
class Levels:
    """The noise levels of a distillation, rising: ``sigmas`` [n] with the timesteps [n] that the network gets."""

    sigmas: Tensor
    timesteps: Tensor

    @classmethod
    def of(cls, levels: NoiseLevels) -> Levels:
        """Return the levels at which a consistency model of this kind is sampled."""
        timesteps = torch.tensor([levels.timestep(sigma) for sigma in levels.sigmas])
        return cls(levels.sigmas, timesteps)


def consistency_loss(
    student: Denoise,
    target: Denoise,
    teacher: Denoise,
    path: Levels,
    latents: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Compute the mean distance between the student and its target one step of the teacher further.

    Args:
        student: the trained network's clean latent under the boundary conditions.
        target: the same without gradients.
        teacher: the frozen network's guided clean latent.
        path: the noise levels.
        latents: [B, C, h, w], in the network's scale.
        generator: a CPU generator, which draws the noise and the levels.
    """
    above = torch.randint(len(path.sigmas), (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    sigma, timesteps = path.sigmas[above].to(latents), path.timesteps[above].to(latents.device)
    x = latents + noise * _per_item(sigma)
    predicted = student(x, sigma, timesteps)
    with torch.no_grad():
        # below the lowest level is the clean latent, which is its own target
        lowest = above == 0
        below = (above - 1).clamp(min=0)
        sigma_below = torch.where(lowest, 0.0, path.sigmas[below]).to(latents)
        stepped = ddim_step(x, teacher(x, sigma, timesteps), sigma, sigma_below)
        aim = target(stepped, path.sigmas[below].to(latents), path.timesteps[below].to(latents.device))
        aim = torch.where(_per_item(lowest.to(latents.device)), stepped, aim)
    return ((predicted - aim).square() + HUBER**2).sqrt().sub(HUBER).mean()


def ddim_step(x: Tensor, denoised: Tensor, sigma: Tensor, sigma_below: Tensor) -> Tensor:
    """Return ``x`` [B, C, h, w] one deterministic step further (arXiv:2010.02502), from ``sigma`` [B] to the next."""
    return denoised + (x - denoised) * _per_item(sigma_below / sigma)


def as_consistency_model(model: Model) -> Model:
    """Return the model, sampled as a latent consistency model. Raises TrainingError unless it predicts the noise."""
    return replace(model, sampling=_consistency_sampling(model))


def _consistency_sampling(model: Model) -> ConsistencySampling:
    sampling = model.sampling
    if prediction_of(sampling.levels()) != "eps" or not isinstance(sampling, ModelSampling):
        raise TrainingError("the model predicts the velocity; LCM distillation expects a model that predicts the noise")
    return ConsistencySampling(sampling)


def distil_lora(
    context: Context,
    model: Model,
    clip: Clip,
    data: EncodedDataset,
    settings: Settings,
    own: ConsistencySettings,
    folder: Path,
    save_every: float = 300.0,
) -> tuple[LoraTensors, list[float]]:
    """Distil ``model`` with guidance into a LoRA. Returns its tensors, float16, and the loss of every step.

    ``folder`` receives the run's state, from which it can continue, and ``lora.safetensors``. Raises TrainingError if
    the model predicts something other than the noise, takes a vector (SDXL), or has other channels than the latents.
    """
    levels = _consistency_sampling(model).levels()
    if model.family.vector is not None:
        raise TrainingError("the model takes vector conditioning (SDXL); expected a model of SD1's or SD2's kind")
    if data.latents.shape[1] != model.config.in_channels:
        raise TrainingError(
            f"the model takes {model.config.in_channels} channels, the dataset's latents have {data.latents.shape[1]}"
        )
    text = text_path_of(clip)
    unet, adapters, names = adapted_unet(model, torch.float32, "LoRA", own.rank, settings.seed)
    device = next(unet.parameters()).device
    path = Levels.of(levels)
    batches = CaptionedBatches(data.examples, own.batch_size, padding=text.padding)
    with torch.no_grad():
        empty = text(token_ids(own.negative, text.padding).unsqueeze(0).to(device)).hidden.detach()

    def loss(generator: torch.Generator) -> Tensor:
        chosen, ids = batches.draw(generator)
        latents = model.latent.scaled_in(data.latents[chosen].to(device, torch.float32))
        with torch.no_grad():
            embedding = text(ids.to(device)).hidden

        def clean(x: Tensor, sigma: Tensor, timesteps: Tensor, given: Tensor) -> Tensor:
            scaled = x / _per_item((sigma**2 + 1).sqrt())
            return x - unet(scaled, timesteps.float(), given).float() * _per_item(sigma)

        def student(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
            skip, out = levels.boundary(timesteps.float())
            return x * _per_item(skip) + clean(x, sigma, timesteps, embedding) * _per_item(out)

        def teacher(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
            both = torch.cat([embedding, empty.expand_as(embedding)])
            with switched_off(adapters.values()):
                twice = clean(torch.cat([x, x]), sigma.repeat(2), timesteps.repeat(2), both)
            toward, away = twice.chunk(2)
            return away + (toward - away) * own.guidance

        return consistency_loss(student, student, teacher, path, latents, generator)

    def lora_of(weights: Mapping[str, Tensor]) -> LoraTensors:
        return {name: tensor.half() for name, tensor in named_tensors(weights, adapters, names).items()}

    def write(weights: Mapping[str, Tensor]) -> None:
        write_tensors(folder / "lora.safetensors", lora_of(weights))

    folder.mkdir(parents=True, exist_ok=True)
    trained = train_in_folder(context, parameters_of(adapters), loss, settings, folder, write, save_every=save_every)
    return lora_of(trained.weights), trained.losses


def _per_item(values: Tensor) -> Tensor:
    """Return [B] as [B, 1, 1, 1]."""
    return values.view(-1, 1, 1, 1)
