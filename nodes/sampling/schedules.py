"""Schedules: the noise levels that a run of n steps visits, n + 1 falling sigmas of which the last is 0.

A schedule returns float32 sigmas on the CPU. The named ones take the number of steps (1 or more) and the model's noise
levels; ``ddim_uniform`` may return more steps than requested, ``beta`` fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.models.noise_levels import NoiseLevels

Schedule = Callable[[int, NoiseLevels], Tensor]

_WHOLE: Final = 0.9999
"""A ``denoise`` of this or more removes all noise."""

_added: dict[str, Schedule] = {}


class ScheduleError(SumiError):
    """A schedule has no noise levels for its settings. The message names the setting and its valid values."""


def sigmas_for(
    scheduler: str, steps: int, levels: NoiseLevels, denoise: float = 1.0, skip_penultimate: bool = False
) -> Tensor:
    """Return the sigmas of the last ``steps`` steps of a schedule that removes all noise.

    ``denoise`` in 0..1 is the part of the schedule that the run covers; see :func:`denoise_tail`.
    ``skip_penultimate`` computes one more step and drops the last sigma above 0: for samplers
    that work better without a short last step. Raises ValueError if there is no such schedule.
    """
    schedule = schedule_named(scheduler)

    def whole(count: int) -> Tensor:
        return whole_run(lambda n: schedule(n, levels), count, skip_penultimate)

    return denoise_tail(whole, steps, denoise)


def whole_run(schedule: Callable[[int], Tensor], steps: int, skip_penultimate: bool) -> Tensor:
    """Return ``schedule(steps)``; to skip the penultimate, ``schedule(steps + 1)`` without its last sigma above 0."""
    return without_penultimate(schedule(steps + 1)) if skip_penultimate else schedule(steps)


def denoise_tail(whole: Callable[[int], Tensor], steps: int, denoise: float) -> Tensor:
    """Return the last ``steps`` + 1 sigmas of ``whole(steps / denoise)``, or ``whole(steps)`` if ``denoise`` is 1.

    A ``denoise`` of 0 returns no sigmas.
    """
    if denoise <= 0:
        return torch.empty(0)
    if denoise > _WHOLE:
        return whole(steps)
    return whole(int(steps / denoise))[-(steps + 1) :]


def without_penultimate(sigmas: Tensor) -> Tensor:
    """Return ``sigmas`` without the last one above 0."""
    return torch.cat([sigmas[:-2], sigmas[-1:]])


def register_schedule(name: str, schedule: Schedule) -> None:
    """Register ``schedule`` so that nodes find it by ``name``; a later one with the same name replaces it.

    Raises ValueError if the name belongs to a built-in schedule.
    """
    if name in SCHEDULES:
        raise ValueError(f"'{name}' is the name of a built-in schedule; expected another name")
    _added[name] = schedule


def schedule_named(name: str) -> Schedule:
    """Return the schedule with that name, built-in or registered. Raises ValueError if there is none."""
    found = SCHEDULES.get(name) or _added.get(name)
    if found is None:
        raise ValueError(f"there is no schedule '{name}'; there are {', '.join(schedule_names())}")
    return found


def schedule_names() -> list[str]:
    """Return the names of all schedules: built-in ones, then registered ones."""
    return [*SCHEDULES, *_added]


def cut(sigmas: Tensor, start: int | None, end: int | None, to_zero: bool) -> Tensor:
    """Return the sigmas of the steps from ``start`` (None: the first) to ``end`` (None: the last).

    ``to_zero``: the last step removes all noise."""
    sigmas = sigmas[: None if end is None else end + 1].clone()
    if to_zero:
        sigmas[-1] = 0
    return sigmas[start:]


def simple(steps: int, levels: NoiseLevels) -> Tensor:
    """Take entries of the model's own table at equal distances, from the largest down."""
    stride = len(levels.sigmas) / steps
    return _to_zero(levels.sigmas[[-(1 + int(i * stride)) for i in range(steps)]])


def sgm_uniform(steps: int, levels: NoiseLevels) -> Tensor:
    """``steps`` + 1 timesteps at equal distances, the last dropped (Stability's generative-models, MIT)."""
    return _to_zero(levels.sigma(_timesteps(steps + 1, levels)[:-1]))


def normal(steps: int, levels: NoiseLevels) -> Tensor:
    """Timesteps at equal distances from the largest noise level to the smallest, both included."""
    return _to_zero(levels.sigma(_timesteps(steps, levels)))


def karras(steps: int, levels: NoiseLevels, rho: float = 7.0) -> Tensor:
    """:func:`karras_between` the model's smallest and largest level."""
    return karras_between(steps, levels.sigma_min, levels.sigma_max, rho)


def karras_between(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Levels at equal distances in sigma^(1/rho). Karras et al., arXiv:2206.00364, equation 5.

    Raises ScheduleError unless ``rho`` is above 0.
    """
    _check_positive(rho=rho)
    ramp = torch.linspace(0, 1, steps)
    smallest, largest = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _to_zero((largest + ramp * (smallest - largest)) ** rho)


def exponential(steps: int, levels: NoiseLevels) -> Tensor:
    """:func:`exponential_between` the model's smallest and largest level."""
    return exponential_between(steps, levels.sigma_min, levels.sigma_max)


def exponential_between(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Levels at equal distances in log-sigma. Raises ScheduleError unless both ends are above 0."""
    _check_positive(sigma_min=sigma_min, sigma_max=sigma_max)
    return _to_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential_between(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """Levels whose logarithm falls as a ramp from 1 to 0 to the power of ``rho`` (k-diffusion, MIT).

    Raises ScheduleError unless both ends are above 0.
    """
    _check_positive(sigma_min=sigma_min, sigma_max=sigma_max)
    ramp = torch.linspace(1, 0, steps) ** rho
    return _to_zero((ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)).exp())


def laplace_between(steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Levels whose logarithm has a Laplace distribution around ``mu`` with scale ``beta``. arXiv:2407.03297.

    They are clamped to ``sigma_min`` … ``sigma_max``. No 0 is appended: there are ``steps`` sigmas.
    """
    distance = 0.5 - torch.linspace(0, 1, steps)
    log_sigmas = mu - beta * distance.sign() * torch.log(1 - 2 * distance.abs() + 1e-5)
    return log_sigmas.exp().clamp(min=sigma_min, max=sigma_max)


def variance_preserving(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> Tensor:
    """Levels of a continuous variance-preserving diffusion at times from 1 to ``eps_s``. arXiv:2011.13456.

    sigma(t) = sqrt(exp(beta_d · t² / 2 + beta_min · t) - 1). Raises ScheduleError if that exceeds float32.
    """
    t = torch.linspace(1, eps_s, steps)
    sigmas = torch.expm1(beta_d * t**2 / 2 + beta_min * t).sqrt()
    if not sigmas.isfinite().all():
        raise ScheduleError(
            f"beta_d {beta_d:g} and beta_min {beta_min:g} give infinite noise levels; "
            "expected beta_d / 2 + beta_min of at most 88"
        )
    return _to_zero(sigmas)


def sd_turbo(steps: int, levels: NoiseLevels, denoise: float = 1.0) -> Tensor:
    """Return the timesteps of SD Turbo's distillation: 999, 899, …, 99. Sauer et al., arXiv:2311.17042.

    ``denoise`` leaves out the first ones; ``steps`` of the others are used.
    """
    start = 10 - int(10 * denoise)
    timesteps = (torch.arange(10, 0, -1) * 100 - 1)[start : start + steps]
    return _to_zero(levels.sigma(timesteps))


def ddim_uniform(steps: int, levels: NoiseLevels) -> Tensor:
    """Every ⌊T/steps⌋-th timestep, counted from 1. DDIM, arXiv:2010.02502."""
    stride = max(len(levels.sigmas) // steps, 1)
    return _to_zero(levels.sigmas[1::stride].flip(0))


def beta(steps: int, levels: NoiseLevels, a: float = 0.6, b: float = 0.6) -> Tensor:
    """Timesteps at quantiles of a Beta distribution: dense at both ends. arXiv:2407.12173.

    Raises ScheduleError unless ``a`` and ``b`` are above 0.
    """
    import numpy
    from scipy.stats import beta as beta_distribution

    _check_positive(alpha=a, beta=b)
    quantiles = 1 - numpy.linspace(0, 1, steps, endpoint=False)
    timesteps = numpy.rint(beta_distribution.ppf(quantiles, a, b) * (len(levels.sigmas) - 1))
    distinct = dict.fromkeys(int(t) for t in timesteps)
    return _to_zero(levels.sigmas[list(distinct)])


def linear_quadratic(steps: int, levels: NoiseLevels, threshold: float = 0.025) -> Tensor:
    """A slow linear first half, then a quadratic fall. Movie Gen, arXiv:2410.13720.

    The linear half removes ``threshold`` of sigma_max; the parabola continues with the same slope and ends at 0.
    """
    if steps == 1:
        return torch.tensor([levels.sigma_max, 0.0])
    linear_steps = steps // 2
    quadratic_steps = steps - linear_steps
    slope = threshold / linear_steps
    curvature = (1 - threshold - slope * quadratic_steps) / quadratic_steps**2
    removed = [slope * i for i in range(linear_steps)]
    removed += [threshold + slope * j + curvature * j**2 for j in range(quadratic_steps)]
    return torch.tensor([1 - r for r in removed] + [0.0]) * levels.sigma_max


def kl_optimal(steps: int, levels: NoiseLevels) -> Tensor:
    """Levels at equal distances in atan(sigma). Align Your Steps, arXiv:2404.14507."""
    ramp = torch.linspace(0, 1, steps)
    return _to_zero((ramp * math.atan(levels.sigma_min) + (1 - ramp) * math.atan(levels.sigma_max)).tan())


def _timesteps(count: int, levels: NoiseLevels) -> Tensor:
    return torch.linspace(levels.timestep(levels.sigma_max), levels.timestep(levels.sigma_min), count)


def _check_positive(**settings: float) -> None:
    """Raise ScheduleError unless all settings are above 0."""
    for name, value in settings.items():
        if value <= 0:
            raise ScheduleError(f"{name} is {value:g}; expected a number above 0")


def _to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


SCHEDULES: Final[Mapping[str, Schedule]] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras,
    "exponential": exponential,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}
