"""The nodes that make a run's noise levels."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from graph.node import AddedLater, Choices, Hint, Range, node
from nodes.sampling.fields import Denoise, SchedulerName, Steps
from nodes.types import Model, Sigmas

_CATEGORY = "sampling/custom_sampling/schedulers"

Level: TypeAlias = Annotated[float, Range(0.0, 5000.0, 0.01), Hint(round=False)]
Shape: TypeAlias = Annotated[float, Range(0.0, 100.0, 0.01), Hint(round=False)]
BetaParameter: TypeAlias = Annotated[float, Range(0.0, 50.0, 0.01), Hint(round=False)]

SIGMA_MAX, SIGMA_MIN = 14.614642, 0.0291675
"""The largest and the smallest noise level of SD1, SD2 and SDXL."""


@node("BasicScheduler", category=_CATEGORY)
def basic_scheduler(
    *, model: Model, scheduler: SchedulerName, steps: Steps = 20, denoise: Annotated[Denoise, AddedLater] = 1.0
) -> Sigmas:
    """Make the noise levels of a named schedule for a model.

    ``denoise`` below 1 keeps the last ``steps`` steps of a longer schedule.
    """
    from nodes.sampling.schedules import sigmas_for

    return sigmas_for(scheduler, steps, model.sampling.levels(), denoise)[-(steps + 1) :]


@node("KarrasScheduler", category=_CATEGORY)
def karras_scheduler(
    *, steps: Steps = 20, sigma_max: Level = SIGMA_MAX, sigma_min: Level = SIGMA_MIN, rho: Shape = 7.0
) -> Sigmas:
    """Space noise levels evenly in sigma to the power of 1/rho (arXiv:2206.00364)."""
    from nodes.sampling.schedules import karras_between

    return karras_between(steps, sigma_min, sigma_max, rho)


@node("ExponentialScheduler", category=_CATEGORY)
def exponential_scheduler(*, steps: Steps = 20, sigma_max: Level = SIGMA_MAX, sigma_min: Level = SIGMA_MIN) -> Sigmas:
    """Space noise levels evenly in the logarithm of sigma."""
    from nodes.sampling.schedules import exponential_between

    return exponential_between(steps, sigma_min, sigma_max)


@node("PolyexponentialScheduler", category=_CATEGORY)
def polyexponential_scheduler(
    *, steps: Steps = 20, sigma_max: Level = SIGMA_MAX, sigma_min: Level = SIGMA_MIN, rho: Shape = 1.0
) -> Sigmas:
    """Space noise levels as a power of ``rho`` in the logarithm of sigma; 1 is exponential."""
    from nodes.sampling.schedules import polyexponential_between

    return polyexponential_between(steps, sigma_min, sigma_max, rho)


@node("LaplaceScheduler", category=_CATEGORY)
def laplace_scheduler(
    *,
    steps: Steps = 20,
    sigma_max: Level = SIGMA_MAX,
    sigma_min: Level = SIGMA_MIN,
    mu: Annotated[float, Range(-10.0, 10.0, 0.1), Hint(round=False)] = 0.0,
    beta: Annotated[float, Range(0.0, 10.0, 0.1), Hint(round=False)] = 0.5,
) -> Sigmas:
    """Space noise levels by a Laplace distribution of log-sigma (arXiv:2407.03297). They do not end at 0."""
    from nodes.sampling.schedules import laplace_between

    return laplace_between(steps, sigma_min, sigma_max, mu, beta)


@node("VPScheduler", category=_CATEGORY)
def vp_scheduler(
    *,
    steps: Steps = 20,
    beta_d: Level = 19.9,
    beta_min: Level = 0.1,
    eps_s: Annotated[float, Range(0.0, 1.0, 0.0001), Hint(round=False)] = 0.001,
) -> Sigmas:
    """Make the noise levels of a continuous variance-preserving diffusion (arXiv:2011.13456)."""
    from nodes.sampling.schedules import variance_preserving

    return variance_preserving(steps, beta_d, beta_min, eps_s)


@node("BetaSamplingScheduler", category=_CATEGORY)
def beta_sampling_scheduler(
    *, model: Model, steps: Steps = 20, alpha: BetaParameter = 0.6, beta: BetaParameter = 0.6
) -> Sigmas:
    """Space timesteps by a Beta distribution, dense at both ends below 1 (arXiv:2407.12173)."""
    from nodes.sampling import schedules

    return schedules.beta(steps, model.sampling.levels(), alpha, beta)


@node("SDTurboScheduler", category=_CATEGORY)
def sd_turbo_scheduler(
    *,
    model: Model,
    steps: Annotated[int, Range(1, 10)] = 1,
    denoise: Annotated[float, Range(0, 1.0, 0.01), AddedLater] = 1.0,
) -> Sigmas:
    """Make the noise levels that SD Turbo and SDXL Turbo were distilled for (arXiv:2311.17042)."""
    from nodes.sampling.schedules import sd_turbo

    return sd_turbo(steps, model.sampling.levels(), denoise)


@node("AlignYourStepsScheduler", display_name=None, category=_CATEGORY)
def align_your_steps_scheduler(
    *,
    model_type: Annotated[str, Choices(("SD1", "SDXL", "SVD"), as_object=True), Hint(multiselect=False)],
    steps: Steps = 10,
    denoise: Annotated[Denoise, AddedLater] = 1.0,
) -> Sigmas:
    """Make the optimised noise levels of Align Your Steps, for few steps (arXiv:2404.14507)."""
    from nodes.sampling.published_schedules import align_your_steps

    return align_your_steps(model_type, steps, denoise)


@node("GITSScheduler", display_name=None, category=_CATEGORY)
def gits_scheduler(
    *,
    coeff: Annotated[float, Range(0.80, 1.50, 0.05)] = 1.20,
    steps: Annotated[int, Range(2, 1000)] = 10,
    denoise: Denoise = 1.0,
) -> Sigmas:
    """Make noise levels that follow the geometry of sampling trajectories, for few steps (arXiv:2405.11326)."""
    from nodes.sampling.published_schedules import gits

    return gits(coeff, steps, denoise)


@node("OptimalStepsScheduler", display_name=None, category=_CATEGORY)
def optimal_steps_scheduler(
    *,
    model_type: Annotated[str, Choices(("FLUX", "Wan", "Chroma"), as_object=True), Hint(multiselect=False)],
    steps: Annotated[int, Range(3, 1000)] = 20,
    denoise: Denoise = 1.0,
) -> Sigmas:
    """Make the optimised noise levels of Optimal Stepsize, for flow models (arXiv:2503.21774)."""
    from nodes.sampling.published_schedules import optimal_steps

    return optimal_steps(model_type, steps, denoise)
