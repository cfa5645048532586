"""Differential diffusion: a grey mask says how much each place changes. Levin & Fried, arXiv:2306.00950."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nodes.models.changes import MaskStep


@dataclass(frozen=True)
class DifferentialMask:
    """Binary mask for each noise level: 1 where the mask's value is at least the remaining part of the run, else 0.

    ``strength`` mixes the binary mask with the mask itself.
    """

    strength: float = 1.0

    def __call__(self, step: MaskStep) -> Tensor:
        levels = step.levels
        first = float(levels.timestep(step.sigmas[0]))
        last = float(levels.timestep(max(levels.sigma_min, float(step.sigmas[-1]))))
        left = (float(levels.timestep(step.sigma)) - last) / (first - last) if first != last else 0.0
        hard = (step.mask >= left).to(step.mask.dtype)
        return hard if self.strength >= 1 else self.strength * hard + (1 - self.strength) * step.mask
