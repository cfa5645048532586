"""One sampling run: from noise and conditions to a latent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes import device
from nodes.sampling.conditions import resolve, share_control, with_partners
from nodes.sampling.denoiser import Denoiser, Observed
from nodes.sampling.extra_channels import check_input_channels
from nodes.sampling.guidance import Guided
from nodes.sampling.inpainting import Inpainted, mask_for
from nodes.sampling.noise import SEEDS, initial_noise
from nodes.sampling.sampler import PackSampler, Sampler
from nodes.sampling.vector_conditioning import vector
from nodes.types import Conditioning

if TYPE_CHECKING:
    from nodes.models.handle import Model
    from nodes.unet.unet import UNet

OnStep = Callable[[int, int, Tensor], None]
"""Told ``(step, steps, denoised)``, step from 1, after each call of the network; ``denoised`` is scaled."""


class SamplingError(SumiError):
    """Latents or conditions do not fit the model, or the model's predictions are not numbers."""


@torch.no_grad()
def sample(
    model: Model,
    noise: Tensor,
    sigmas: Tensor,
    *,
    sampler: Sampler | PackSampler,
    positive: Conditioning,
    negative: Conditioning,
    scale: float,
    latent: Tensor,
    seed: int,
    noise_mask: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """``latent`` noised to ``sigmas[0]`` and denoised to ``sigmas[-1]``.

    Args:
        noise: [B, C, h, w], unit variance.
        sigmas: float32 [n + 1], falling; with fewer than two the latent is returned as it is.
        positive, negative: CONDITIONING of the two sides of guidance.
        scale: of classifier-free guidance.
        latent: [B, C, h, w], unscaled, as the VAE gives it; zeros for an empty one.
        seed: of the noise that stochastic samplers add between steps.
        noise_mask: 1 where the latent is made anew, [B, H, W] of any size; None for everywhere.
        on_step: may raise to stop the run.

    Returns:
        [B, C, h, w], unscaled, float32 on the CPU.

    Raises:
        ConditionError: an area lies outside the picture.
        MissingChannelsError: the model takes input channels besides the latent's.
        SamplingError: the latent's channels are not the model's, or the result is not finite.
    """
    if len(sigmas) < 2:
        return latent
    if model.has_functions or not isinstance(sampler, Sampler):
        # What packs make is written for the forms in which ComfyUI calls it, and is called in these.
        from nodes.compat.comfy._guider import sample_with_functions

        return sample_with_functions(
            model,
            noise,
            sigmas,
            sampler=sampler,
            positive=positive,
            negative=negative,
            scale=scale,
            latent=latent,
            seed=seed,
            noise_mask=noise_mask,
            on_step=on_step,
        )
    check_input_channels(model, model.config.out_channels)
    where = device.device()
    levels = model.sampling.levels()
    latent = fitting_latent(model, latent).to(where, torch.float32)
    if latent.any():  # an empty latent stays empty where a mean or a shift would be taken off
        latent = model.latent.scaled_in(latent)
    noise = noise.to(where, torch.float32)
    sigmas = sigmas.cpu().float()

    cond = resolve(positive, latent, levels, partial(vector, model))
    uncond = resolve(negative, latent, levels, partial(vector, model, negative=True))
    uncond = with_partners(uncond, cond)
    cond = with_partners(cond, uncond)
    if any(options.get("control_apply_to_uncond") for _, options in positive):
        uncond = share_control(cond, uncond)

    denoiser: Denoiser = Guided(cast("UNet", model.network()), levels, cond, uncond, scale)
    if noise_mask is not None:
        kept_noise = initial_noise(noise.shape, (seed + 1) % SEEDS).to(noise) if sampler.renews_masked_noise else noise
        denoiser = Inpainted(denoiser, mask_for(latent, noise_mask), latent, kept_noise)
    if on_step is not None:
        denoiser = Observed(denoiser, sigmas, on_step)

    x = levels.noised(latent, noise, float(sigmas[0]))
    x = sampler.run(denoiser, x, sigmas, seed, levels)
    x = levels.finished(x, float(sigmas[-1]))
    return model.latent.scaled_out(check_finite(x)).cpu()


def check_finite(x: Tensor) -> Tensor:
    """``x``, what a run ended in. Raises SamplingError if it holds NaN or infinity."""
    if not x.isfinite().all():
        raise SamplingError(
            "sampling ended in NaN or infinity: the model's file is damaged, the sampler's settings diverge, or "
            "its numbers do not fit half precision (try --precision fp32)"
        )
    return x


def fitting_latent(model: Model, latent: Tensor) -> Tensor:
    """``latent`` with the model's channels: an empty one is made to fit.

    Raises SamplingError if it is not empty.
    """
    channels = model.config.out_channels
    if latent.ndim == 4 and latent.shape[1] == channels:
        return latent
    if latent.ndim == 4 and not latent.any():
        return latent.new_zeros(latent.shape[0], channels, *latent.shape[2:])
    raise SamplingError(
        f"latent has shape {tuple(latent.shape)}, this model ({model.weights.path.name}) takes "
        f"[batch, {channels}, height, width]"
    )
