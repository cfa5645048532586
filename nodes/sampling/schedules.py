"""Which noise levels a run of n steps visits: n + 1 sigmas, falling, the last one 0.

Every schedule takes the number of steps (1 or more) and the model's noise levels and returns
float32 sigmas on the CPU. ``ddim_uniform`` may give more steps than asked for, ``beta`` fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from nodes.models.noise_levels import NoiseLevels

Schedule = Callable[[int, NoiseLevels], Tensor]

_WHOLE: Final = 0.9999
"""From this ``denoise`` on a run removes all noise."""

_added: dict[str, Schedule] = {}


def sigmas_for(
    scheduler: str, steps: int, levels: NoiseLevels, denoise: float = 1.0, skip_penultimate: bool = False
) -> Tensor:
    """The sigmas of the last ``steps`` steps of a schedule that removes all noise.

    ``denoise`` in 0..1 is how far up the noise the run starts; see :func:`denoise_tail`.
    ``skip_penultimate`` computes one more step and drops the last sigma above 0: for samplers
    that work better without a short last step. Raises ValueError if there is no such schedule.
    """
    schedule = schedule_named(scheduler)

    def whole(count: int) -> Tensor:
        return without_penultimate(schedule(count + 1, levels)) if skip_penultimate else schedule(count, levels)

    return denoise_tail(whole, steps, denoise)


def denoise_tail(whole: Callable[[int], Tensor], steps: int, denoise: float) -> Tensor:
    """The last ``steps`` + 1 sigmas of ``whole(steps / denoise)``; all of ``whole(steps)`` for a ``denoise`` of 1.

    A ``denoise`` of 0 gives no sigmas at all.
    """
    if denoise <= 0:
        return torch.empty(0)
    if denoise > _WHOLE:
        return whole(steps)
    return whole(int(steps / denoise))[-(steps + 1) :]


def without_penultimate(sigmas: Tensor) -> Tensor:
    """``sigmas`` without the last one above 0."""
    return torch.cat([sigmas[:-2], sigmas[-1:]])


def register_schedule(name: str, schedule: Schedule) -> None:
    """Let nodes find ``schedule`` by ``name``; a later one of the same name replaces it.

    Raises ValueError if the name belongs to a built-in schedule.
    """
    if name in SCHEDULES:
        raise ValueError(f"'{name}' is the name of a built-in schedule; expected another name")
    _added[name] = schedule


def schedule_named(name: str) -> Schedule:
    """The schedule of that name, built-in or registered. Raises ValueError if there is none."""
    found = SCHEDULES.get(name) or _added.get(name)
    if found is None:
        raise ValueError(f"there is no schedule '{name}'; there are {', '.join([*SCHEDULES, *_added])}")
    return found


def cut(sigmas: Tensor, start: int | None, end: int | None, to_zero: bool) -> Tensor:
    """The sigmas of the steps from ``start`` (None: the first) up to ``end`` (None: the last); ``to_zero``: the last
    one removes all noise."""
    sigmas = sigmas[: None if end is None else end + 1].clone()
    if to_zero:
        sigmas[-1] = 0
    return sigmas[start:]


def simple(steps: int, levels: NoiseLevels) -> Tensor:
    """Entries of the model's own table at equal distances, from the largest down."""
    stride = len(levels.sigmas) / steps
    return _to_zero(levels.sigmas[[-(1 + int(i * stride)) for i in range(steps)]])


def sgm_uniform(steps: int, levels: NoiseLevels) -> Tensor:
    """``steps`` + 1 timesteps at equal distances, the last dropped (Stability's generative-models, MIT)."""
    return _to_zero(levels.sigma(_timesteps(steps + 1, levels)[:-1]))


def normal(steps: int, levels: NoiseLevels) -> Tensor:
    """Timesteps at equal distances from the largest noise level to the smallest, both included."""
    return _to_zero(levels.sigma(_timesteps(steps, levels)))


def karras(steps: int, levels: NoiseLevels, rho: float = 7.0) -> Tensor:
    """Levels at equal distances in sigma^(1/rho). Karras et al., arXiv:2206.00364, equation 5."""
    ramp = torch.linspace(0, 1, steps)
    smallest, largest = levels.sigma_min ** (1 / rho), levels.sigma_max ** (1 / rho)
    return _to_zero((largest + ramp * (smallest - largest)) ** rho)


def exponential(steps: int, levels: NoiseLevels) -> Tensor:
    """Levels at equal distances in log-sigma."""
    return _to_zero(torch.linspace(math.log(levels.sigma_max), math.log(levels.sigma_min), steps).exp())


def ddim_uniform(steps: int, levels: NoiseLevels) -> Tensor:
    """Every ⌊T/steps⌋-th timestep, counted from 1. DDIM, arXiv:2010.02502."""
    stride = max(len(levels.sigmas) // steps, 1)
    return _to_zero(levels.sigmas[1::stride].flip(0))


def beta(steps: int, levels: NoiseLevels, a: float = 0.6, b: float = 0.6) -> Tensor:
    """Timesteps at quantiles of a Beta distribution: dense at both ends. arXiv:2407.12173."""
    import numpy
    from scipy.stats import beta as beta_distribution

    quantiles = 1 - numpy.linspace(0, 1, steps, endpoint=False)
    timesteps = numpy.rint(beta_distribution.ppf(quantiles, a, b) * (len(levels.sigmas) - 1))
    distinct = dict.fromkeys(int(t) for t in timesteps)
    return _to_zero(levels.sigmas[list(distinct)])


def linear_quadratic(steps: int, levels: NoiseLevels, threshold: float = 0.025) -> Tensor:
    """A slow linear first half, then a quadratic fall. Movie Gen, arXiv:2410.13720.

    The linear half removes ``threshold`` of sigma_max; the parabola goes on from there with the
    same slope and ends at 0.
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
