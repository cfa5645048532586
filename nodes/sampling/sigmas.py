"""Changes SIGMAS, float32 [n + 1]: the noise levels of a run of n steps.

Every function returns new tensors and accepts an empty one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

import torch
from torch import Tensor

from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.schedules import ScheduleError

Spacing = Literal["linear", "cosine", "sine"]

_LOWEST_START: Final = 0.0001
"""Replaces a first sigma of 0, by which samplers would divide."""

_BENDS: Final[Mapping[Spacing, Callable[[float], float]]] = {
    "linear": lambda fraction: fraction,
    "cosine": lambda fraction: math.sin(math.pi / 2 * fraction),
    "sine": lambda fraction: 1 - math.cos(math.pi / 2 * fraction),
}

_NUMBER: Final = re.compile(
    r"(?:(?<![\d.])[-+])?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\b(?:inf|infinity|nan)\b)", re.IGNORECASE
)


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Return the sigmas of the first ``step`` steps and of the rest. Both contain the level where they meet."""
    return sigmas[: step + 1].clone(), sigmas[step:].clone()


def split_denoise(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """Split as :func:`split` does; the second part has k = round(n · ``denoise``) of the n steps.

    With k = 0, as in ComfyUI, the first part is empty and the second is the last level: samplers return the latent
    unchanged for both.
    """
    steps = max(len(sigmas) - 1, 0)
    kept = round(steps * denoise)
    if kept == 0:
        return sigmas[:0].clone(), sigmas[-1:].clone()
    return split(sigmas, steps - kept)


def flipped(sigmas: Tensor) -> Tensor:
    """Reverse ``sigmas``, to add noise to a picture step by step. A first level of 0 becomes 0.0001."""
    sigmas = sigmas.flip(0)
    if len(sigmas) and sigmas[0] == 0:
        sigmas[0] = _LOWEST_START
    return sigmas


def with_first(sigmas: Tensor, sigma: float) -> Tensor:
    """Return ``sigmas`` with another first level."""
    sigmas = sigmas.clone()
    sigmas[:1] = sigma
    return sigmas


def extended(sigmas: Tensor, steps: int, start: float, end: float, spacing: Spacing = "linear") -> Tensor:
    """Divide each step whose upper level is in ``end`` … ``start`` into ``steps`` steps.

    ``start`` below 0 means no limit. ``spacing`` places the new levels: at equal distances, denser towards the lower
    level (cosine), or denser towards the upper one (sine).
    """
    highest = math.inf if start < 0 else start
    fractions = [_BENDS[spacing](i / steps) for i in range(1, steps)]
    levels: list[float] = []
    for sigma, sigma_next in zip(sigmas.tolist(), sigmas.tolist()[1:], strict=False):
        levels.append(sigma)
        if end <= sigma <= highest:
            levels += [sigma + fraction * (sigma_next - sigma) for fraction in fractions]
    return torch.tensor(levels + sigmas[-1:].tolist())


def sigma_of_percent(levels: NoiseLevels, percent: float, actual: bool = False) -> float:
    """Return the noise level after the part ``percent`` (0..1) of the timesteps: infinite at 0, 0 at 1.

    With ``actual``, the ends are the model's largest and smallest level.
    """
    if actual and percent <= 0:
        return levels.sigma_max
    if actual and percent >= 1:
        return levels.sigma_min
    return levels.sigma_at(percent)


def written(text: str) -> Tensor:
    """Read the numbers in ``text``, with any separators; a dash right after a number is a separator, too.

    Raises ScheduleError for levels that are negative or not finite.
    """
    levels = [float(number) for number in _NUMBER.findall(text)]
    wrong = [level for level in levels if level < 0 or not math.isfinite(level)]
    if wrong:
        raise ScheduleError(f"the noise levels contain {wrong[0]:g}; expected numbers from 0 up, as in '14.6, 3.2, 0'")
    return torch.tensor(levels)
