"""``comfy.samplers``: names, schedules, guidance, and the sampler of the KSampler nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from nodes.compat.comfy._batching import can_concat_cond, cond_cat, cond_equal_size, cond_obj, get_area_and_mult
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy._guidance import calc_cond_batch, cfg_function, process_conds, sampling_function
from nodes.compat.comfy._guider import CFGGuider
from nodes.compat.comfy._k_sampler import KSAMPLER, KSamplerX0Inpaint, Sampler, in_k_form
from nodes.compat.comfy.k_diffusion import sampling as k_diffusion_sampling
from nodes.compat.comfy.model_sampling import ObjectLevels
from nodes.compat.comfy.sampler_helpers import convert_cond
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling import names, schedules
from nodes.sampling.sampler import SAMPLERS as _NATIVE

SAMPLER_NAMES: Final = list(names.SAMPLERS)
KSAMPLER_NAMES: Final = [name for name in SAMPLER_NAMES if name not in ("ddim", "uni_pc", "uni_pc_bh2")]
SCHEDULER_NAMES: Final = list(names.SCHEDULERS)


class SchedulerHandler(NamedTuple):
    """A schedule: ``handler(model_sampling, steps)`` gives sigmas; without ``use_ms`` it gets the range instead."""

    handler: Callable[..., Tensor]
    use_ms: bool = True


def _handler(name: str) -> SchedulerHandler:
    return SchedulerHandler(
        lambda model_sampling, steps: schedules.sigmas_for(name, steps, ObjectLevels(model_sampling))
    )


SCHEDULER_HANDLERS: Final[dict[str, SchedulerHandler]] = {name: _handler(name) for name in SCHEDULER_NAMES}
"""A pack may add its own, and their names to :data:`SCHEDULER_NAMES`; see :mod:`nodes.compat.added_samplers`."""


def simple_scheduler(model_sampling: Any, steps: int) -> Tensor:
    """Entries of the model's table at equal distances."""
    return schedules.simple(steps, ObjectLevels(model_sampling))


def normal_scheduler(model_sampling: Any, steps: int, sgm: bool = False, floor: bool = False) -> Tensor:
    """Timesteps at equal distances; ``sgm`` takes one more and leaves out the last."""
    return (schedules.sgm_uniform if sgm else schedules.normal)(steps, ObjectLevels(model_sampling))


def ddim_scheduler(model_sampling: Any, steps: int) -> Tensor:
    """Every n-th timestep. DDIM, arXiv:2010.02502."""
    return schedules.ddim_uniform(steps, ObjectLevels(model_sampling))


def beta_scheduler(model_sampling: Any, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Timesteps at quantiles of a Beta distribution, arXiv:2407.12173."""
    return schedules.beta(steps, ObjectLevels(model_sampling), alpha, beta)


def linear_quadratic_schedule(
    model_sampling: Any, steps: int, threshold_noise: float = 0.025, linear_steps: int | None = None
) -> Tensor:
    """A linear first half, then a quadratic fall, arXiv:2410.13720. Raises ValueError for another half."""
    if linear_steps not in (None, steps // 2):
        raise ValueError(f"linear_steps is half of the steps in Sumi: {steps // 2}, not {linear_steps}")
    return schedules.linear_quadratic(steps, ObjectLevels(model_sampling), threshold_noise)


def kl_optimal_scheduler(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """``n`` levels at equal distances in atan(sigma), and 0. Align Your Steps, arXiv:2404.14507."""
    return schedules.kl_optimal(n, NoiseLevels(torch.tensor([float(sigma_min), float(sigma_max)])))


def calc_cond_uncond_batch(
    model: Any, cond: Any, uncond: Any, x_in: Tensor, timestep: Tensor, model_options: Mapping[str, Any]
) -> tuple[Tensor, Tensor]:
    """:func:`calc_cond_batch` of two sides."""
    positive, negative = calc_cond_batch(model, [cond, uncond], x_in, timestep, model_options)
    return positive, negative


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> Tensor:
    """Return the sigmas of a whole run, the last one 0."""
    handler = SCHEDULER_HANDLERS.get(scheduler_name)
    if handler is None:
        raise _no_schedule(scheduler_name)
    if handler.use_ms:
        return handler.handler(model_sampling, steps)
    lowest, highest = float(model_sampling.sigma_min), float(model_sampling.sigma_max)
    return handler.handler(n=steps, sigma_min=lowest, sigma_max=highest)


def calculate_sigmas_scheduler(model: Any, scheduler_name: str, steps: int) -> Tensor:
    """:func:`calculate_sigmas` for a model (:class:`comfy.model_base.BaseModel`): the older name."""
    return calculate_sigmas(model.model_sampling, scheduler_name, steps)


def ksampler(
    sampler_name: str, extra_options: Mapping[str, Any] | None = None, inpaint_options: Mapping[str, Any] | None = None
) -> KSAMPLER:
    """Return the sampler of that name: ``sample_NAME`` of ``comfy.k_diffusion.sampling``, where packs can add one."""
    options = dict(inpaint_options or {})
    function = getattr(k_diffusion_sampling, f"sample_{sampler_name}", None)
    if sampler_name in _NATIVE:
        if _NATIVE[sampler_name].renews_masked_noise:
            options.setdefault("random", True)
        if function is None or sampler_name in k_diffusion_sampling.OF_OTHER_ARGUMENTS:
            function = in_k_form(_NATIVE[sampler_name], sampler_name)
    if function is None:
        raise ValueError(f"there is no sampler '{sampler_name}'; expected one of {', '.join(SAMPLER_NAMES)}")
    return KSAMPLER(function, extra_options, options)


def sampler_object(name: str) -> KSAMPLER:
    """Return the sampler of that name, for ``comfy.sample.sample_custom`` and :class:`CFGGuider`."""
    return ksampler(name)


def sample(
    model: DiffusionModel,
    noise: Tensor,
    positive: Any,
    negative: Any,
    cfg: float,
    device: Any,
    sampler: Sampler,
    sigmas: Tensor,
    model_options: dict[str, Any] | None = None,
    latent_image: Tensor | None = None,
    denoise_mask: Tensor | None = None,
    callback: Callable[[int, Tensor, Tensor, int], Any] | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """A run with classifier-free guidance. Raises SamplingError, ConditionError."""
    guider = CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    if model_options:
        guider.model_options = model_options
    latent = torch.zeros_like(noise) if latent_image is None else latent_image
    return guider.sample(noise, latent, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)


class KSampler:
    """A run's settings."""

    SCHEDULERS: Final = SCHEDULER_NAMES
    SAMPLERS: Final = SAMPLER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS: Final = {name for name, sampler in _NATIVE.items() if sampler.skips_penultimate}

    def __init__(
        self,
        model: Any,
        steps: int,
        device: Any = None,
        sampler: str | None = None,
        scheduler: str | None = None,
        denoise: float | None = None,
        model_options: Mapping[str, Any] | None = None,
    ):
        self.model = model
        self.sampler = sampler if sampler is not None and sampler in self.SAMPLERS else self.SAMPLERS[0]
        self.scheduler = scheduler if scheduler is not None and scheduler in self.SCHEDULERS else self.SCHEDULERS[0]
        self.denoise = denoise
        self.set_steps(steps, denoise)

    def calculate_sigmas(self, steps: int) -> Tensor:
        """Return the sigmas of a whole run of so many steps."""
        model_sampling = self.model.get_model_object("model_sampling")
        skips = self.sampler in self.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        return schedules.whole_run(lambda n: calculate_sigmas(model_sampling, self.scheduler, n), steps, skips)

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Choose the number of steps, and the sigmas for it."""
        self.steps = steps
        self.sigmas = schedules.denoise_tail(self.calculate_sigmas, steps, 1.0 if denoise is None else denoise)

    def sample(
        self,
        noise: Tensor,
        positive: Any,
        negative: Any,
        cfg: float,
        latent_image: Tensor | None = None,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        denoise_mask: Tensor | None = None,
        sigmas: Tensor | None = None,
        callback: Callable[[int, Tensor, Tensor, int], Any] | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """``latent_image`` noised and denoised. Raises SamplingError, ConditionError."""
        sigmas = self.sigmas if sigmas is None else sigmas
        latent = torch.zeros_like(noise) if latent_image is None else latent_image
        sigmas = schedules.cut(sigmas, start_step, last_step, to_zero=force_full_denoise)
        return sample(
            self.model,
            noise,
            positive,
            negative,
            cfg,
            None,
            sampler_object(self.sampler),
            sigmas,
            latent_image=latent,
            denoise_mask=denoise_mask,
            callback=callback,
            disable_pbar=disable_pbar,
            seed=seed,
        )


def _no_schedule(name: str) -> ValueError:
    return ValueError(f"there is no schedule '{name}'; expected one of {', '.join(SCHEDULER_HANDLERS)}")


__all__ = [
    "KSAMPLER",
    "KSAMPLER_NAMES",
    "SAMPLER_NAMES",
    "SCHEDULER_HANDLERS",
    "SCHEDULER_NAMES",
    "CFGGuider",
    "KSampler",
    "KSamplerX0Inpaint",
    "Sampler",
    "SchedulerHandler",
    "beta_scheduler",
    "calc_cond_batch",
    "calc_cond_uncond_batch",
    "calculate_sigmas",
    "calculate_sigmas_scheduler",
    "can_concat_cond",
    "cfg_function",
    "cond_cat",
    "cond_equal_size",
    "cond_obj",
    "convert_cond",
    "ddim_scheduler",
    "get_area_and_mult",
    "k_diffusion_sampling",
    "kl_optimal_scheduler",
    "ksampler",
    "linear_quadratic_schedule",
    "normal_scheduler",
    "process_conds",
    "sample",
    "sampler_object",
    "sampling_function",
    "simple_scheduler",
]
