"""A model's noise levels and the schedules through them, as numbers to plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.schedules import schedule_names, sigmas_for


@dataclass(frozen=True)
class TrainedLevels:
    """The levels that a model was trained on, float64 [T], one for each timestep.

    ``betas`` is the share of the variance that a timestep replaces by noise, ``alpha_bar`` the share of the picture's
    variance that is left (arXiv:2006.11239); None for models without a table of betas. ``snr`` is the signal-to-noise
    ratio.
    """

    sigmas: Tensor
    snr: Tensor
    alpha_bar: Tensor | None
    betas: Tensor | None


def trained_levels(levels: NoiseLevels) -> TrainedLevels:
    """Return the curves of a model's noise levels.

    ᾱ is 1 / (1 + σ²), and β is 1 - ᾱ(t) / ᾱ(t - 1). Models trained on continuous levels have neither; the 50 levels of
    a consistency model (arXiv:2310.04378) are a part of a table, so the quotient would not be a β.
    """
    sigmas = levels.sigmas.double()
    has_table = type(levels) is NoiseLevels
    if not has_table:
        return TrainedLevels(sigmas, sigmas**-2, None, None)
    alpha_bar = 1 / (1 + sigmas**2)
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    return TrainedLevels(sigmas, sigmas**-2, alpha_bar, 1 - alpha_bar / before)


def all_schedules(levels: NoiseLevels, steps: int) -> Mapping[str, Tensor]:
    """Return the sigmas of every schedule, node packs' too: float32 [steps + 1] as a rule, the last one 0."""
    return {name: sigmas_for(name, steps, levels) for name in schedule_names()}
