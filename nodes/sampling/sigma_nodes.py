"""The nodes that change a run's noise levels."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graph.node import Hint, Range, node
from nodes.types import Model, Sigmas

_CATEGORY = "sampling/custom_sampling/sigmas"


class SplitParts(NamedTuple):
    """The noise levels of the first steps and of the rest."""

    high_sigmas: Sigmas
    low_sigmas: Sigmas


@node("SplitSigmas", category=_CATEGORY)
def split_sigmas(*, sigmas: Sigmas, step: Annotated[int, Range(0, 10_000)] = 0) -> SplitParts:
    """Split noise levels after a number of steps, so that two samplers can share a run."""
    from nodes.sampling.sigmas import split

    return SplitParts(*split(sigmas, step))


@node("SplitSigmasDenoise", category=_CATEGORY)
def split_sigmas_denoise(*, sigmas: Sigmas, denoise: Annotated[float, Range(0.0, 1.0, 0.01)] = 1.0) -> SplitParts:
    """Split noise levels so that the second part has the share ``denoise`` of the steps.

    If that share rounds to no step, the first part is empty and the second is the last level.
    """
    from nodes.sampling.sigmas import split_denoise

    return SplitParts(*split_denoise(sigmas, denoise))


@node("FlipSigmas", category=_CATEGORY)
def flip_sigmas(*, sigmas: Sigmas) -> Sigmas:
    """Reverse noise levels, so that a sampler turns a picture into the noise that leads to it."""
    from nodes.sampling.sigmas import flipped

    return flipped(sigmas)


@node("SetFirstSigma", category=_CATEGORY)
def set_first_sigma(
    *, sigmas: Sigmas, sigma: Annotated[float, Range(0.0, 20000.0, 0.001), Hint(round=False)] = 136.0
) -> Sigmas:
    """Replace the first noise level."""
    from nodes.sampling.sigmas import with_first

    return with_first(sigmas, sigma)


@node("ExtendIntermediateSigmas", category=_CATEGORY)
def extend_intermediate_sigmas(
    *,
    sigmas: Sigmas,
    steps: Annotated[int, Range(1, 100)] = 2,
    start_at_sigma: Annotated[float, Range(-1.0, 20000.0, 0.01), Hint(round=False)] = -1.0,
    end_at_sigma: Annotated[float, Range(0.0, 20000.0, 0.01), Hint(round=False)] = 12.0,
    spacing: Literal["linear", "cosine", "sine"],
) -> Sigmas:
    """Divide the steps between two noise levels into ``steps`` each; ``start_at_sigma`` -1 is unbounded."""
    from nodes.sampling.sigmas import extended

    return extended(sigmas, steps, start_at_sigma, end_at_sigma, spacing)


class SigmaValue(NamedTuple):
    """One noise level."""

    sigma_value: float


@node("SamplingPercentToSigma", category=_CATEGORY)
def sampling_percent_to_sigma(
    *,
    model: Model,
    sampling_percent: Annotated[float, Range(0.0, 1.0, 0.0001)] = 0.0,
    return_actual_sigma: bool = False,
) -> SigmaValue:
    """Return the noise level at a percent of a model's timesteps; 0 gives infinity and 1 gives 0.

    With ``return_actual_sigma``, the ends are the model's largest and smallest level.
    """
    from nodes.sampling.sigmas import sigma_of_percent

    return SigmaValue(sigma_of_percent(model.sampling.levels(), sampling_percent, return_actual_sigma))


@node("ManualSigmas", category="sampling/custom_sampling/schedulers")
def manual_sigmas(*, sigmas: str) -> Sigmas:
    """Read noise levels from text: numbers in any separators.

    Raises ScheduleError for numbers below 0, infinity and nan.
    """
    from nodes.sampling.sigmas import written

    return written(sigmas)
