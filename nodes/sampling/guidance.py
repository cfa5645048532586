"""The network as a denoiser: conditions, their batches, and classifier-free guidance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.conditions import Condition, repeat_to_batch
from nodes.sampling.denoiser import Sigma

if TYPE_CHECKING:
    from nodes.unet.unet import ContextKV, UNet

_LONGEST_REPEAT = 4
"""Texts of different lengths share a batch if none has to be repeated more often than this."""


class Guided:
    """A denoiser with classifier-free guidance (Ho & Salimans, arXiv:2207.12598).

    ``scale`` 0 is unconditional, 1 conditional, more exaggerates the difference. At 1 the
    unconditional prediction is not made, unless it is asked for.
    """

    def __init__(
        self,
        network: UNet,
        levels: NoiseLevels,
        positive: Sequence[Condition],
        negative: Sequence[Condition],
        scale: float,
    ):
        self._network = network
        self._levels = levels
        self._positive = positive
        self._negative = negative
        self._scale = scale
        self._texts: dict[tuple[int, ...], tuple[Tensor, ContextKV]] = {}

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        if math.isclose(self._scale, 1.0):
            return self._predict(x, float(sigma), [self._positive])[0]
        return self.with_unconditional(x, sigma)[0]

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        conditional, unconditional = self._predict(x, float(sigma), [self._positive, self._negative])
        return unconditional + (conditional - unconditional) * self._scale, unconditional

    def _predict(self, x: Tensor, sigma: float, sides: Sequence[Sequence[Condition]]) -> list[Tensor]:
        """The denoised latent of each side: the average of its active conditions, weighted per pixel."""
        side_of = {c: i for i, conditions in enumerate(sides) for c in conditions if c.is_active(sigma)}
        sums = [torch.zeros_like(x) for _ in sides]
        # A pixel that no condition covers is 0 rather than NaN.
        totals = [torch.full_like(x[:, :1], 1e-37) for _ in sides]
        for batch in batches(list(side_of)):
            for condition, denoised in zip(batch, self._denoise(batch, x, sigma), strict=True):
                side = side_of[condition]
                weight = repeat_to_batch(condition.weight, x.shape[0])
                condition.area.crop(sums[side]).add_(denoised * weight)
                condition.area.crop(totals[side]).add_(weight)
        return [total / weights for total, weights in zip(sums, totals, strict=True)]

    def _denoise(self, batch: Sequence[Condition], x: Tensor, sigma: float) -> Sequence[Tensor]:
        """Each condition's prediction [B, C, h, w] for its area, from one call of the network."""
        noisy = torch.cat([condition.area.crop(x) for condition in batch])
        network_input = self._levels.network_input(noisy, sigma)
        timesteps = torch.full((len(noisy),), float(self._levels.timestep(sigma)), device=x.device)
        context, projected = self._text(batch, x.shape[0])
        vectors = [repeat_to_batch(c.y, x.shape[0]) for c in batch if c.y is not None]
        y = torch.cat(vectors) if vectors else None
        control = None
        if batch[0].control is not None:
            control = batch[0].control.residuals(network_input, timesteps, context, y, sigma=sigma, levels=self._levels)
        output = self._network(network_input, timesteps, projected, y=y, control=control)
        return self._levels.denoised(noisy, output, sigma).chunk(len(batch))

    def _text(self, batch: Sequence[Condition], items: int) -> tuple[Tensor, ContextKV]:
        """The batch's texts and what every attention layer makes of them, computed once per run."""
        key = tuple(id(condition) for condition in batch)
        if key not in self._texts:
            tokens = math.lcm(*[condition.embedding.shape[1] for condition in batch])
            context = torch.cat(
                [
                    # Attention to a text and to its repetition is the same.
                    repeat_to_batch(c.embedding.repeat(1, tokens // c.embedding.shape[1], 1), items)
                    for c in batch
                ]
            )
            self._texts[key] = context, self._network.project_context(context)
        return self._texts[key]


def batches(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """``conditions`` in groups that can go through the network together."""
    waiting = list(conditions)
    while waiting:
        group: list[Condition] = []
        for condition in waiting:
            if _fit([*group, condition]):
                group.append(condition)
        yield group
        waiting = [condition for condition in waiting if condition not in group]


def _fit(conditions: Sequence[Condition]) -> bool:
    """Whether areas are of one size, the same thing steers them, and texts reach a common length."""
    first = conditions[0]
    lengths = {condition.embedding.shape[1] for condition in conditions}
    return math.lcm(*lengths) // min(lengths) <= _LONGEST_REPEAT and all(
        (c.area.height, c.area.width) == (first.area.height, first.area.width) and c.control is first.control
        for c in conditions
    )
