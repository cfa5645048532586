"""``comfy.conds``: what a network is told besides the latent, and how the conditions of a batch are put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.sampling.conditions import repeat_to_batch

_LONGEST_REPEAT = 4


class CONDRegular:
    """A tensor [1 or B, …] that fits a batch if its shape does."""

    def __init__(self, cond: Any):
        self.cond = cond

    def _copy_with(self, cond: Any) -> Any:
        return type(self)(cond)

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """For a batch of that many latents."""
        return self._copy_with(repeat_to_batch(self.cond, batch_size))

    def can_concat(self, other: Any) -> bool:
        """Whether both can go through the network together."""
        return bool(self.cond.shape == other.cond.shape)

    def concat(self, others: Sequence[Any]) -> Tensor:
        """This and ``others`` as one batch."""
        return torch.cat([self.cond, *(other.cond for other in others)])

    def size(self) -> list[int]:
        """The tensor's shape."""
        return list(self.cond.shape)


class CONDNoiseShape(CONDRegular):
    """A tensor of the latent's size, cropped to the area."""

    def process_cond(self, batch_size: int, area: Sequence[int] | None = None, **kwargs: Any) -> Any:
        """For a batch of that many latents, cropped to ``area`` (height, width, top, left)."""
        cond = self.cond
        if area is not None:
            height, width, top, left = area
            cond = cond[..., top : top + height, left : left + width]
        return self._copy_with(repeat_to_batch(cond, batch_size))


class CONDCrossAttn(CONDRegular):
    """A text [1 or B, T, width]: attention to it and to its repetition is the same, so lengths may differ."""

    def can_concat(self, other: Any) -> bool:
        """Whether no text has to be repeated more than four times."""
        mine, its = self.cond.shape, other.cond.shape
        if mine == its:
            return True
        fit = mine[0] == its[0] and mine[2] == its[2]
        return fit and math.lcm(mine[1], its[1]) // min(mine[1], its[1]) <= _LONGEST_REPEAT

    def concat(self, others: Sequence[Any]) -> Tensor:
        """This and ``others``, repeated to one length."""
        texts = [self.cond, *(other.cond for other in others)]
        tokens = math.lcm(*(text.shape[1] for text in texts))
        return torch.cat([text.repeat(1, tokens // text.shape[1], 1) for text in texts])


class CONDConstant(CONDRegular):
    """Something that is the same for all of a batch."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """The same."""
        return self._copy_with(self.cond)

    def can_concat(self, other: Any) -> bool:
        """Whether it is the same."""
        return bool(self.cond == other.cond)

    def concat(self, others: Sequence[Any]) -> Any:
        """The same."""
        return self.cond

    def size(self) -> list[int]:
        """None to speak of."""
        return [1]


class CONDList(CONDRegular):
    """Several tensors."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """Each for a batch of that many latents."""
        return self._copy_with([repeat_to_batch(cond, batch_size) for cond in self.cond])

    def can_concat(self, other: Any) -> bool:
        """Whether all shapes are the same."""
        return [cond.shape for cond in self.cond] == [cond.shape for cond in other.cond]

    def concat(self, others: Sequence[Any]) -> Any:
        """One by one."""
        lists = [self.cond, *(other.cond for other in others)]
        return [torch.cat(tensors) for tensors in zip(*lists, strict=True)]

    def size(self) -> list[int]:
        """How many numbers."""
        return [sum(cond.numel() for cond in self.cond)]
