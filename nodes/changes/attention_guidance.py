"""Guidance away from a degraded prediction: one with disturbed self-attention, or with its attended parts blurred."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.models.changes import GuidanceStep, Place, Predictions, Step
from nodes.unet.heads import attend

MIDDLE: Final[Place] = ("middle", 0)
"""The U-Net's middle block."""
_FIRST_LAYER: Final[Place] = ("middle", 0, 0)
_BLUR_RADIUS: Final = 4
_ATTENDED: Final = 1.0
"""A position counts as attended to if the queries' scores for it add up to more than this."""


@dataclass(frozen=True)
class PerturbedAttention:
    """Guide away from a prediction without self-attention in the middle block. Ahn et al., arXiv:2403.17377.

    The result is g + ``scale`` · (c - perturbed); for the perturbed prediction, attention returns its values.
    """

    scale: float

    def __call__(self, step: GuidanceStep) -> Tensor:
        assert step.guided is not None
        inside = step.changes.inside.with_replacement("attn1", MIDDLE, _values)
        perturbed = step.predict(step.toward, changes=dataclasses.replace(step.changes, inside=inside))
        return step.guided + (step.conditional - perturbed[step.toward]) * self.scale


def _values(q: Tensor, k: Tensor, v: Tensor, options: Mapping[str, Any]) -> Tensor:
    return v


@dataclass
class _Scores:
    """Collects the self-attention scores while the network predicts the unconditional side."""

    side: int
    latent_size: tuple[int, ...]
    received: Tensor | None = field(default=None)
    """Score that each position received [B, h, w], the mean over heads and the sum over queries."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: Mapping[str, Any]) -> Tensor:
        sides: list[int] = options["cond_or_uncond"]
        heads, shape = options["n_heads"], options["activations_shape"]
        whole = tuple(options["original_shape"][-2:]) == self.latent_size
        if self.side in sides and whole:
            part = slice(*(len(q) // len(sides) * (sides.index(self.side) + end) for end in (0, 1)))
            queries, keys = (x[part].float().unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k))
            scores = (queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[-1])).softmax(-1)
            self.received = scores.mean(1).sum(1).unflatten(1, tuple(shape[-2:]))
        return attend(q, k, v, heads)


@dataclass(frozen=True)
class SelfAttention:
    """Guide away from a prediction whose attended parts are blurred. SAG, Hong et al., arXiv:2210.00939.

    d is u, blurred where the middle block's self-attention of the unconditional side is high, with a Gaussian of
    9 × 9 latent pixels and standard deviation ``blur_sigma``. The result is
    g + ``scale`` · (d - prediction at d + x - u), or g for a latent of 4 pixels or fewer on a side.

    Add :meth:`recording` around the sides, :meth:`__call__` after guidance.
    """

    scale: float
    blur_sigma: float

    def recording(self, proceed: Callable[[Step], Predictions], step: Step) -> Predictions:
        """Return the predictions of ``step`` and keep the unconditional side's scores for :meth:`__call__`."""
        names = list(step.conditions)
        step.predictor.kept.pop(self._key, None)
        if len(names) < 2:
            return proceed(step)
        # In every guider, the side that guidance moves away from is the last one or is named "negative".
        side = names.index("negative") if "negative" in names else len(names) - 1
        scores = _Scores(side, tuple(step.x.shape[-2:]))
        inside = step.changes.inside.with_replacement("attn1", _FIRST_LAYER, scores)
        predictions = proceed(dataclasses.replace(step, changes=dataclasses.replace(step.changes, inside=inside)))
        if scores.received is not None:
            step.predictor.kept[self._key] = scores.received
        return predictions

    def __call__(self, step: GuidanceStep) -> Tensor:
        assert step.guided is not None
        received = step.predictor.kept.get(self._key)
        if received is None or step.away not in step.predictions or min(step.x.shape[-2:]) <= _BLUR_RADIUS:
            return step.guided
        mask = (received > _ATTENDED).unsqueeze(1).to(step.x)
        mask = F.interpolate(mask, size=step.x.shape[-2:])
        clean = step.unconditional
        degraded = torch.lerp(clean, blurred(clean, self.blur_sigma), mask)
        prediction = step.predict(step.away, x=degraded + step.x - clean)[step.away]
        return step.guided + (degraded - prediction) * self.scale

    @property
    def _key(self) -> str:
        return f"self-attention guidance {id(self)}"


def blurred(x: Tensor, sigma: float, radius: int = _BLUR_RADIUS) -> Tensor:
    """Blur ``x`` [B, C, h, w] by a Gaussian of 2 · radius + 1 pixels per side, mirrored at the edges.

    A sigma of 0 leaves it unchanged.
    """
    if sigma <= 0:
        return x
    at = torch.arange(-radius, radius + 1, dtype=torch.float32, device=x.device)
    line = torch.exp(-((at / sigma) ** 2) / 2)
    line = line / line.sum()
    channels = x.shape[1]
    padded = F.pad(x.float(), (radius,) * 4, mode="reflect")
    kernel = (line[:, None] * line[None, :]).expand(channels, 1, -1, -1)
    return F.conv2d(padded, kernel, groups=channels).to(x.dtype)
