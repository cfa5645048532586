"""Records where the U-Net looks for each token of a prompt: its cross-attention maps.

Tang et al., "What the DAAM: Interpreting Stable Diffusion Using Cross Attention" (arXiv:2210.04885).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.changes.adding import around_sides
from nodes.explain.errors import ExplainError
from nodes.models.changes import Predictions, Step
from nodes.models.handle import Model
from nodes.sampling.areas import Area


class AttentionRecord:
    """The cross-attention of one prompt in one run: of the first picture, to the first entry of the side ``side``.

    Each layer's probabilities softmax(q · kᵀ / √width) are recorded, float32, and averaged over its heads.
    ``tokens`` is the number of tokens of the entry's text. Recording repeats the layers' query projection; it changes
    no result.
    """

    def __init__(self, tokens: int, side: str = "positive"):
        self.tokens = tokens
        self.side = side
        self.calls = 0
        """Number of recorded calls of a layer."""
        self.layers: set[tuple[Any, ...]] = set()
        """The places of the recorded layers: block, number in the U-Net, layer of the transformer."""
        self._sums: dict[tuple[Area, int, int], Tensor] = {}
        self._latent: tuple[int, int] = (0, 0)

    def attached_to(self, model: Model) -> Model:
        """Return ``model`` with a function that records its next run."""
        return around_sides(model, self._around_sides)

    def maps(self) -> Tensor:
        """Return the mean maps [tokens, h, w] over steps, layers and heads, at the latent's size.

        Layers of lower resolution are enlarged (bicubic), as in DAAM. At each place the tokens' shares add up to
        about 1. Raises ExplainError if nothing was recorded.
        """
        if not self.calls:
            raise ExplainError(
                "the model's cross-attention could not be recorded: the run had no steps, or a node pack replaces it"
            )
        total = torch.zeros(self.tokens, *self._latent)
        for (area, _, _), values in self._sums.items():
            large = F.interpolate(values[None].cpu(), size=area[:2], mode="bicubic", align_corners=False)[0]
            area.crop(total).add_(large.clamp(min=0))
        return total / self.calls

    def _around_sides(self, proceed: Callable[[Step], Predictions], step: Step) -> Predictions:
        conditions = step.conditions.get(self.side, ())
        if not conditions or not conditions[0].is_active(step.level):
            return proceed(step)
        self._latent = (step.x.shape[-2], step.x.shape[-1])
        observe = partial(self._observe, conditions[0].uuid, conditions[0].area)
        inside = step.changes.inside.with_patch("attn2_observer", observe)
        return proceed(dataclasses.replace(step, changes=dataclasses.replace(step.changes, inside=inside)))

    def _observe(self, uuid: Any, area: Area, query: Tensor, key: Tensor, options: Mapping[str, Any]) -> None:
        """Add the probabilities of one layer, in a call in which the entry ``uuid`` takes part."""
        entries = options.get("uuids", ())
        if uuid not in entries:
            return
        item = entries.index(uuid) * (len(query) // len(entries))
        height, width = options["activations_shape"][-2:]
        if query.shape[2] != height * width or key.shape[2] % self.tokens:
            return
        probabilities = attention_probabilities(query[item], key[item]).mean(0)
        # A text that shares a call with a longer one is repeated; its tokens' shares add up.
        shares = probabilities.unflatten(1, (-1, self.tokens)).sum(1)
        values = shares.T.unflatten(1, (height, width))
        place = (area, height, width)
        self._sums[place] = self._sums[place] + values if place in self._sums else values
        self.calls += 1
        self.layers.add((*options["block"], options["block_index"]))


def attention_probabilities(query: Tensor, key: Tensor) -> Tensor:
    """Return softmax(q · kᵀ / √width) over the keys: query [..., T, width], key [..., S, width] to [..., T, S]."""
    scores = query.float() @ key.float().transpose(-1, -2) / math.sqrt(query.shape[-1])
    return scores.softmax(-1)


def word_map(maps: Tensor, positions: tuple[int, ...]) -> Tensor:
    """Return the map [h, w] of a word: the mean of its tokens' ``maps`` [tokens, h, w]."""
    return maps[list(positions)].mean(0)


def stretched(values: Tensor) -> Tensor:
    """Stretch a map [h, w] to 0..1, its smallest value to its largest, as DAAM shows it."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=1e-12)
