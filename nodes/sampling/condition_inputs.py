"""The inputs of a condition: text, pooled vector, extra channels, control. Each can crop, repeat and join itself.

Conditions that go through the network together have inputs of the same names. The inputs of one name are cropped to
their areas, repeated to the batch and joined into the value that the network call gets under that name:

============ ================== ==========================================================================
name         class              value of a call with N latents
============ ================== ==========================================================================
``text``     :class:`Text`      [N, T, width], the text before projection
``vector``   :class:`Batched`   [N, width], pooled text and sizes
``concat``   :class:`Spatial`   [N, C, h, w], channels behind the latent's in the network's input
``control``  :class:`Constant`  a :class:`ControlSource`
============ ================== ==========================================================================

Inputs of other names are passed on to functions around the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch import Tensor

from nodes.batches import repeat_to
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.areas import Area

if TYPE_CHECKING:
    from nodes.unet.unet import Control

_LONGEST_REPEAT = 4
"""Texts of different lengths share a batch if none has to be repeated more often than this."""


class ControlSource(Protocol):
    """Steers a condition: a ControlNet, or several that add up."""

    def residuals(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        *,
        sigma: float,
        levels: NoiseLevels,
    ) -> Control | None:
        """The residuals to add to a U-Net call with these arguments, at noise level ``sigma``; None for none.

        ``x`` [B, 4, h, w] is the network's input, ``context`` [B, T, C] the text before projection.
        """


class ConditionInput(Protocol):
    """One input of a condition."""

    @property
    def value(self) -> Any:
        """The input of this condition alone."""

    def cropped(self, area: Area) -> Self:
        """The input for a condition that sees ``area`` of the latent only."""

    def repeated(self, batch: int) -> Self:
        """The input for ``batch`` latents."""

    def joins(self, others: Sequence[Any]) -> bool:
        """Whether this input and ``others`` (of one name) can go through the network together."""

    def join(self, others: Sequence[Any]) -> Any:
        """The network's value for this input and ``others``, in this order."""


@dataclass(frozen=True, eq=False)
class Batched:
    """A tensor [1 or B, …] that does not depend on the area; shapes must be equal to join."""

    value: Tensor

    def cropped(self, area: Area) -> Self:
        return self

    def repeated(self, batch: int) -> Self:
        return type(self)(repeat_to(self.value, batch))

    def joins(self, others: Sequence[Any]) -> bool:
        return all(self.value.shape == other.value.shape for other in others)

    def join(self, others: Sequence[Any]) -> Tensor:
        return torch.cat([self.value, *(other.value for other in others)]) if others else self.value


@dataclass(frozen=True, eq=False)
class Text(Batched):
    """A text [1 or B, T, width]. Attention to a text and to its repetition is the same, so lengths may differ."""

    def joins(self, others: Sequence[Any]) -> bool:
        texts = [self.value, *(other.value for other in others)]
        if any(text.shape[0] != texts[0].shape[0] or text.shape[2] != texts[0].shape[2] for text in texts):
            return False
        lengths = {text.shape[1] for text in texts}
        return math.lcm(*lengths) // min(lengths) <= _LONGEST_REPEAT

    def join(self, others: Sequence[Any]) -> Tensor:
        texts = [self.value, *(other.value for other in others)]
        tokens = math.lcm(*(text.shape[1] for text in texts))
        return torch.cat([text.repeat(1, tokens // text.shape[1], 1) for text in texts]) if others else self.value


@dataclass(frozen=True, eq=False)
class Spatial(Batched):
    """A tensor [1 or B, C, h, w] of the latent's size."""

    def cropped(self, area: Area) -> Self:
        return type(self)(area.crop(self.value))


@dataclass(frozen=True, eq=False)
class Constant:
    """A value for a whole batch; only conditions with the same one join."""

    value: Any

    def cropped(self, area: Area) -> Self:
        return self

    def repeated(self, batch: int) -> Self:
        return self

    def joins(self, others: Sequence[Any]) -> bool:
        return all(other.value is self.value or bool(other.value == self.value) for other in others)

    def join(self, others: Sequence[Any]) -> Any:
        return self.value


@dataclass(frozen=True, eq=False)
class Several:
    """A list of tensors [1 or B, …], joined one by one."""

    value: Sequence[Tensor]

    def cropped(self, area: Area) -> Self:
        return self

    def repeated(self, batch: int) -> Self:
        return type(self)([repeat_to(tensor, batch) for tensor in self.value])

    def joins(self, others: Sequence[Any]) -> bool:
        shapes = [tensor.shape for tensor in self.value]
        return all([tensor.shape for tensor in other.value] == shapes for other in others)

    def join(self, others: Sequence[Any]) -> list[Tensor]:
        lists = [self.value, *(other.value for other in others)]
        return [torch.cat(tensors) for tensors in zip(*lists, strict=True)]
