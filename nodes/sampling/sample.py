"""One sampling run: from noise and conditions to a latent."""

from __future__ import annotations

import dataclasses
from typing import NotRequired, TypedDict, Unpack

import torch
from torch import Tensor

from nodes import device
from nodes.models.changes import Guider, OnStep, Run, Sampler, SamplerCall, StepDone, around
from nodes.models.handle import Model
from nodes.sampling.conditions import Condition, resolve_sides
from nodes.sampling.denoiser import GuidedDenoiser
from nodes.sampling.guiders import CfgGuider
from nodes.sampling.inpainting import mask_for
from nodes.sampling.latents import SamplingError, check_finite, fitting_latent, scaled_in, scaled_out
from nodes.sampling.prediction import Predictor
from nodes.types import Conditioning


class RunSettings(TypedDict):
    """The keyword arguments of :func:`sample_guided` that do not depend on the model and its guider."""

    sampler: Sampler
    latent: Tensor
    seed: int
    noise_mask: NotRequired[Tensor | None]
    on_step: NotRequired[OnStep | None]


def sample(
    model: Model,
    noise: Tensor,
    sigmas: Tensor,
    *,
    positive: Conditioning,
    negative: Conditioning,
    scale: float,
    **settings: Unpack[RunSettings],
) -> Tensor:
    """Run :func:`sample_guided` with classifier-free guidance.

    ``positive`` and ``negative`` are CONDITIONING of the two sides, ``scale`` is the strength of guidance.
    """
    return sample_guided(model, CfgGuider(positive, negative, scale), noise, sigmas, **settings)


def sample_guided(
    model: Model,
    guider: Guider,
    noise: Tensor,
    sigmas: Tensor,
    *,
    sampler: Sampler,
    latent: Tensor,
    seed: int,
    noise_mask: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Add noise of level ``sigmas[0]`` to ``latent``, and denoise it to ``sigmas[-1]``.

    Args:
        guider: the sides of guidance, and how their predictions are joined.
        noise: [B, C, h, w], unit variance.
        sigmas: float32 [n + 1]. With a single one, noise is only added; with none, the latent is returned unchanged.
        latent: [B, C, h, w], unscaled, as from the VAE; zeros for an empty one.
        seed: the seed of the noise that stochastic samplers add between steps.
        noise_mask: 1 where the latent is regenerated, [B, H, W] of any size; None for everywhere.
        on_step: may raise to stop the run.

    Returns:
        [B, C, h, w], unscaled, float32 on the CPU.

    Raises:
        ConditionError: an area lies outside the picture.
        SamplingError: the latent has other channels than the model, or the result is not finite.
    """
    if len(sigmas) == 0:
        return latent
    changes = model.changes.moved(device.device())
    model = model if changes is model.changes else dataclasses.replace(model, changes=changes)
    sigmas = sigmas.cpu().float()
    predictor = Predictor(model, sigmas.to(device.device()))
    return sample_run(Run(model, predictor, guider, sampler, noise, latent, sigmas, seed, noise_mask, on_step))


@torch.no_grad()
def sample_run(run: Run) -> Tensor:
    """Return the latent [B, C, h, w] of a run, unscaled, float32 on the CPU. Raises like :func:`sample_guided`."""
    return check_finite(around(run.changes.around_run, _started)(run)).cpu()


def _started(run: Run) -> Tensor:
    for function in run.changes.on_start:
        function(run)
    try:
        return _sampled(run)
    finally:
        for function in run.changes.on_end:
            function(run)


def _sampled(run: Run) -> Tensor:
    where = device.device()
    latent = scaled_in(run.model, fitting_latent(run.model, run.latent).to(where, torch.float32))
    noise = run.noise.to(where, torch.float32)
    sigmas = run.sigmas.tolist()

    def conditions_for(latent: Tensor) -> dict[str, list[Condition]]:
        mask = None if run.mask is None else mask_for(latent, run.mask)
        return resolve_sides(run.guider.sides, latent, run.model, run.predictor.levels, run.seed, mask, sigmas)

    call = SamplerCall(
        run.sampler,
        GuidedDenoiser(run.guider, run.predictor, conditions_for(latent), run.changes, conditions_for),
        noise,
        latent,
        None if run.mask is None else mask_for(latent, run.mask),
        run.sigmas,
        run.seed,
        run.predictor.levels,
        run.changes,
        run.on_step,
    )
    x = around(run.changes.around_sampler, lambda call: call.sampler.sample(call))(call)
    return scaled_out(run.model, x.float())


__all__ = ["OnStep", "SamplingError", "StepDone", "check_finite", "fitting_latent", "sample", "sample_guided"]
