"""``comfy.samplers``: names, schedules, and the sampler of the KSampler nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from nodes.compat.comfy.model_objects import ModelSampling
from nodes.compat.values import taken
from nodes.sampling import names, schedules
from nodes.sampling.noise_levels import NoiseLevels
from nodes.sampling.sample import sample
from nodes.sampling.sample_latent import schedule_for
from nodes.sampling.sampler import SAMPLERS as _SAMPLERS
from nodes.sampling.sampler import Sampler

SAMPLER_NAMES: Final = list(names.SAMPLERS)
KSAMPLER_NAMES: Final = [name for name in SAMPLER_NAMES if name not in ("ddim", "uni_pc", "uni_pc_bh2")]
SCHEDULER_NAMES: Final = list(names.SCHEDULERS)


class SchedulerHandler(NamedTuple):
    """A schedule: ``handler(model_sampling, steps)`` gives sigmas."""

    handler: Callable[..., Tensor]
    use_ms: bool = True


def calculate_sigmas(model_sampling: ModelSampling, scheduler_name: str, steps: int) -> Tensor:
    """The sigmas of a whole run, the last one 0."""
    return schedules.sigmas_for(scheduler_name, steps, NoiseLevels(model_sampling.sigmas))


def _handler(name: str) -> SchedulerHandler:
    return SchedulerHandler(lambda model_sampling, steps: calculate_sigmas(model_sampling, name, steps))


SCHEDULER_HANDLERS: Final[Mapping[str, SchedulerHandler]] = {name: _handler(name) for name in SCHEDULER_NAMES}


def sampler_object(name: str) -> Sampler:
    """The sampler of that name, for ``comfy.sample.sample_custom``."""
    return _SAMPLERS[name]


ksampler = sampler_object


class KSampler:
    """A run's settings."""

    SCHEDULERS: Final = SCHEDULER_NAMES
    SAMPLERS: Final = SAMPLER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS: Final = frozenset(
        name for name, sampler in _SAMPLERS.items() if sampler.skips_penultimate
    )

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
        self.sampler = sampler if sampler is not None and sampler in _SAMPLERS else SAMPLER_NAMES[0]
        self.scheduler = scheduler if scheduler is not None and scheduler in SCHEDULER_NAMES else SCHEDULER_NAMES[0]
        self.denoise = denoise
        self.set_steps(steps, denoise)

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Make the sigmas anew."""
        self.steps = steps
        strength = 1.0 if denoise is None else denoise
        self.sigmas = schedule_for(taken(self.model), self.sampler, self.scheduler, steps, strength)

    def calculate_sigmas(self, steps: int) -> Tensor:
        """The sigmas of a whole run of so many steps."""
        return schedule_for(taken(self.model), self.sampler, self.scheduler, steps)

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
        if start_step is not None or last_step is not None or force_full_denoise:
            end = len(sigmas) - 1 if last_step is None else last_step
            sigmas = schedules.cut(sigmas, start_step or 0, end, to_zero=force_full_denoise)
        return sample(
            taken(self.model),
            noise,
            sigmas,
            sampler=_SAMPLERS[self.sampler],
            positive=positive,
            negative=negative,
            scale=cfg,
            latent=latent,
            seed=seed or 0,
            noise_mask=denoise_mask,
            on_step=None if callback is None else lambda step, n, denoised: callback(step - 1, denoised, denoised, n),
        )
