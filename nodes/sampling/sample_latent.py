"""A sampling run as the nodes see it: LATENT in, LATENT out, progress and previews on the way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graph.context import Context
from nodes.sampling.latent_preview import factors_for, preview
from nodes.sampling.latents import fitting_latent
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import OnStep, StepDone, sample
from nodes.sampling.sampler import sampler_named
from nodes.sampling.schedules import sigmas_for
from nodes.types import Conditioning, LatentDict

if TYPE_CHECKING:
    from nodes.models.handle import Model


def schedule_for(model: Model, sampler_name: str, scheduler: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The sigmas float32 [n + 1] of a run with these settings, as ``sampler_name`` wants them.

    Raises ValueError if there is no such sampler or schedule.
    """
    skip = sampler_named(sampler_name).skips_penultimate
    return sigmas_for(scheduler, steps, model.sampling.levels(), denoise, skip)


def sample_latent(
    context: Context,
    model: Model,
    sigmas: Tensor,
    *,
    seed: int,
    sampler_name: str,
    scale: float,
    positive: Conditioning,
    negative: Conditioning,
    latent: LatentDict,
    add_noise: bool = True,
) -> LatentDict:
    """``latent`` after the steps of ``sigmas``, with all that it carries besides its samples.

    Raises SamplingError if the samples do not fit the model.
    """
    if len(sigmas) < 2:
        return latent
    samples = fitting_latent(model, latent["samples"])
    noise = initial_noise(samples.shape, seed, latent.get("batch_index")) if add_noise else torch.zeros(samples.shape)
    result = sample(
        model,
        noise,
        sigmas,
        sampler=sampler_named(sampler_name),
        positive=positive,
        negative=negative,
        scale=scale,
        latent=samples,
        seed=seed,
        noise_mask=latent.get("noise_mask"),
        on_step=_progress(context, model),
    )
    return {**latent, "samples": result}


def _progress(context: Context, model: Model) -> OnStep:
    factors = factors_for(model.latent)
    reported = 0

    def on_step(done: StepDone) -> None:
        nonlocal reported
        if done.step == reported:
            context.check_interrupted()
            return
        reported = done.step

        picture = None if factors is None else partial(preview, done.denoised, factors)
        context.progress(done.step, done.steps, picture)

    return on_step
