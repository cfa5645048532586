"""Alternatives to classifier-free guidance, and corrections of it.

c is the denoised latent [B, C, h, w] of the side that guidance moves towards, u that of the side that it moves away
from, g the guided result, x the noisy latent and s the guidance scale. Norms, means and deviations are over one item of
the batch unless stated otherwise. Every function leaves the result unchanged if there is no u.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.changes.frequencies import scaled_frequencies
from nodes.models.changes import Conditions, GuidanceStep, Predictions
from nodes.sampling.conditions import resolve_sides
from nodes.sampling.guidance import perpendicular
from nodes.types import Conditioning

ITEM: Final = (1, 2, 3)
"""All dimensions of [B, C, h, w] but the batch."""


def is_guided(step: GuidanceStep) -> bool:
    """Return whether both sides of guidance are predicted."""
    return step.toward in step.predictions and step.away in step.predictions


# -- instead of guidance -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rescaled:
    """Rescale guidance to the standard deviation of the conditional velocity. Lin et al., arXiv:2305.08891, §3.4.

    ``multiplier`` 0 is classifier-free guidance, 1 rescales fully.
    """

    multiplier: float

    def __call__(self, step: GuidanceStep) -> Tensor:
        if not is_guided(step):
            return step.conditional
        root = (step.level**2 + 1) ** 0.5
        scaled = step.x / root**2
        toward, away = ((scaled - side) * root / step.level for side in (step.conditional, step.unconditional))
        v = away + (toward - away) * step.scale
        factor = toward.std(ITEM, keepdim=True) / v.std(ITEM, keepdim=True)
        v = v * (self.multiplier * factor + (1 - self.multiplier))
        return scaled - v * step.level / root


@dataclass(frozen=True, eq=False)
class PerpendicularNegative:
    """Guide away from the part of the negative text that is perpendicular to the positive one. arXiv:2304.04968.

    With e the prediction of ``empty``, p = c - e, n = u - e and n⊥ the part of n perpendicular to p, the result is
    e + s · (p - ``negative_scale`` · n⊥).
    """

    empty: Conditioning
    negative_scale: float

    def __call__(self, step: GuidanceStep) -> Tensor:
        if not is_guided(step):
            return step.conditional
        conditions = {**step.conditions, "empty": self._conditions(step)}
        empty = dataclasses.replace(step, conditions=conditions).predict("empty")["empty"]
        positive, negative = step.conditional - empty, step.unconditional - empty
        return empty + (positive - perpendicular(negative, positive) * self.negative_scale) * step.scale

    def _conditions(self, step: GuidanceStep) -> Conditions:
        """Return the conditions of the empty prompt, made once for each run and size."""
        key = f"perpendicular negative {id(self)} {tuple(step.x.shape[-2:])}"
        if key not in step.predictor.kept:
            predictor = step.predictor
            sides = resolve_sides({"negative": self.empty}, step.x, predictor.model, predictor.levels)
            predictor.kept[key] = sides["negative"]
        found: Conditions = step.predictor.kept[key]
        return found


# -- before guidance ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AdaptiveProjection:
    """Reduce the part of guidance along c, which oversaturates. Sadat et al., arXiv:2410.02416.

    Δ = c - u, plus ``momentum`` times the Δ of earlier steps; its norm is limited to ``norm_threshold`` (0: no limit).
    The part of Δ along c is multiplied by ``eta``. c → u + Δ + (c - u) / s.
    """

    eta: float
    norm_threshold: float
    momentum: float

    def __call__(self, step: GuidanceStep) -> Predictions:
        if not is_guided(step) or step.scale == 0:
            return step.predictions
        difference = step.conditional - step.unconditional
        guidance = self._averaged(difference, step)
        if self.norm_threshold > 0:
            norm = torch.linalg.vector_norm(guidance, dim=ITEM, keepdim=True)
            guidance = guidance * (self.norm_threshold / norm).clamp(max=1.0)
        direction = step.conditional / torch.linalg.vector_norm(step.conditional, dim=ITEM, keepdim=True).clamp(
            min=1e-12
        )
        along = (guidance * direction).sum(ITEM, keepdim=True) * direction
        guidance = guidance - along + self.eta * along
        return _with_toward(step, step.unconditional + guidance + difference / step.scale)

    def _averaged(self, difference: Tensor, step: GuidanceStep) -> Tensor:
        """Return the running sum of differences with momentum, which restarts when the noise level rises."""
        if self.momentum == 0:
            return difference
        key = f"adaptive projection {id(self)}"
        level, before = step.predictor.kept.get(key, (step.level, None))
        if before is not None and step.level <= level and before.shape == difference.shape:
            difference = difference + self.momentum * before
        step.predictor.kept[key] = step.level, difference
        return difference


@dataclass(frozen=True)
class ScaledFrequencies:
    """Scale the low and high frequencies of c - u separately. FreSca, Huang et al., arXiv:2504.02154.

    Low frequencies are up to ``cutoff`` from the centre of the Fourier plane.
    """

    scale_low: float
    scale_high: float
    cutoff: int

    def __call__(self, step: GuidanceStep) -> Predictions:
        if not is_guided(step):
            return step.predictions
        difference = step.conditional - step.unconditional
        filtered = scaled_frequencies(difference, self.cutoff, self.scale_low, self.scale_high)
        return _with_toward(step, step.unconditional + filtered)


@dataclass(frozen=True)
class TangentialDamping:
    """Remove the part of u's noise that is tangential to both sides' common direction. TCFG, arXiv:2503.18137.

    The noise x - u is projected on the first right singular vector of the rows x - u and x - c.
    """

    def __call__(self, step: GuidanceStep) -> Predictions:
        if not is_guided(step):
            return step.predictions
        noises = torch.stack([step.x - step.unconditional, step.x - step.conditional], dim=1).flatten(2).float()
        direction = torch.linalg.svd(noises, full_matrices=False)[2][:, :1]
        damped = (noises[:, :1] @ direction.transpose(1, 2)) @ direction
        return {**step.predictions, step.away: step.x - damped.reshape(step.x.shape)}


@dataclass(frozen=True)
class LatentOperation:
    """Apply a latent operation to c - u before guidance, or to c if there is no u, as in ComfyUI.

    c → u + operation(c - u): guidance by s then gives u + s · operation(c - u). u itself is unchanged.
    """

    operation: Callable[[Tensor], Tensor]

    def __call__(self, step: GuidanceStep) -> Predictions:
        if not is_guided(step):
            return _with_toward(step, self.operation(step.conditional))
        changed = self.operation(step.conditional - step.unconditional)
        return _with_toward(step, changed + step.unconditional)


def _with_toward(step: GuidanceStep, conditional: Tensor) -> Mapping[str, Tensor]:
    return {**step.predictions, step.toward: conditional}


# -- after guidance ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EpsilonScaling:
    """Divide the predicted noise by ``factor``, against exposure bias. Ning et al., arXiv:2308.15321.

    g → x - (x - g) / ``factor``.
    """

    factor: float

    def __call__(self, step: GuidanceStep) -> Tensor:
        assert step.guided is not None
        return step.x - (step.x - step.guided) / self.factor


@dataclass(frozen=True)
class Mahiro:
    """Blend the guided result g with s · c, depending on their similarity to s · u.

    With m = (s · c + g) / 2 and k the mean cosine similarity along channels of the signed square roots of s · u and m:
    g → (2(k + 1) · g + (4 - 2(k + 1)) · s · c) / 4. The mean is over all positions of all items, so one k is used for
    the whole batch, as in ComfyUI.
    """

    def __call__(self, step: GuidanceStep) -> Tensor:
        assert step.guided is not None
        leap = step.conditional * step.scale
        merged = (leap + step.guided) / 2
        away = step.unconditional * step.scale
        weight = 2 * (F.cosine_similarity(_signed_root(away), _signed_root(merged), dim=1).mean() + 1)
        return (weight * step.guided + (4 - weight) * leap) / 4


def _signed_root(x: Tensor) -> Tensor:
    return x.abs().sqrt() * x.sign()
