"""``comfy.sample``: sampling runs on tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nodes.compat.comfy import sampler_helpers, samplers
from nodes.compat.comfy._k_sampler import Callback
from nodes.compat.values import from_pack
from nodes.sampling.latents import fitting_latent
from nodes.sampling.noise import initial_noise


def prepare_noise(latent_image: Tensor, seed: int, noise_inds: Sequence[int] | None = None) -> Tensor:
    """Return noise like ``latent_image``, on the CPU; ``noise_inds`` chooses the noise of each item."""
    return initial_noise(latent_image.shape, seed, None if noise_inds is None else [int(i) for i in noise_inds])


def fix_empty_latent_channels(model: Any, latent_image: Tensor, *_: Any) -> Tensor:
    """An empty latent with as many channels as the model takes."""
    return fitting_latent(from_pack(model), latent_image)


def sample(
    model: Any,
    noise: Tensor,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent_image: Tensor,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: Tensor | None = None,
    sigmas: Tensor | None = None,
    callback: Callback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """``latent_image`` noised and denoised. Raises SamplingError, ConditionError."""
    sampler = samplers.KSampler(model, steps, None, sampler_name, scheduler, denoise)
    return sampler.sample(
        noise,
        positive,
        negative,
        cfg,
        latent_image=latent_image,
        start_step=start_step,
        last_step=last_step,
        force_full_denoise=force_full_denoise,
        denoise_mask=noise_mask,
        sigmas=sigmas,
        callback=callback,
        disable_pbar=disable_pbar,
        seed=seed,
    )


def sample_custom(
    model: Any,
    noise: Tensor,
    cfg: float,
    sampler: samplers.Sampler,
    sigmas: Tensor,
    positive: Any,
    negative: Any,
    latent_image: Tensor,
    noise_mask: Tensor | None = None,
    callback: Callback | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """Run a given sampler (see ``comfy.samplers.sampler_object``) over given sigmas."""
    return samplers.sample(
        model,
        noise,
        positive,
        negative,
        cfg,
        None,
        sampler,
        sigmas,
        latent_image=latent_image,
        denoise_mask=noise_mask,
        callback=callback,
        disable_pbar=disable_pbar,
        seed=seed,
    )


def prepare_sampling(
    model: Any, noise_shape: Sequence[int], positive: Any, negative: Any, noise_mask: Tensor | None = None
) -> tuple[Any, Any, Any, Tensor | None, list[Any]]:
    """Return the arguments and no additional models: Sumi prepares a run itself."""
    return model, positive, negative, noise_mask, []


cleanup_additional_models = sampler_helpers.cleanup_additional_models
prepare_mask = sampler_helpers.prepare_mask
convert_cond = sampler_helpers.convert_cond
get_models_from_cond = sampler_helpers.get_models_from_cond
