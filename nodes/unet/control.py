"""Residuals that steer a U-Net call, from a ControlNet (arXiv:2302.05543) or a T2I-Adapter (arXiv:2302.08453)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from graph.context import current

Residual = Tensor | None


@dataclass(frozen=True)
class Control:
    """Residuals [B, C, h, w] that a U-Net call adds, in any shape that broadcasts to the feature map's.

    ``skips``: one or None for each input block, in running order, added only to that skip connection.
    ``inputs``: one or None for each input block, added to its output, so that later blocks get it, too.
    ``middle``: added to the middle block's output. Sequences may be shorter than the U-Net has blocks.
    """

    skips: Sequence[Residual] = ()
    middle: Residual = None
    inputs: Sequence[Residual] = ()

    def plus(self, other: Control) -> Control:
        """Return the sum of both controls."""
        return Control(
            [_sum(a, b) for a, b in zip_longest(self.skips, other.skips)],
            _sum(self.middle, other.middle),
            [_sum(a, b) for a, b in zip_longest(self.inputs, other.inputs)],
        )

    def changed(self, change: Callable[[Tensor], Tensor]) -> Control:
        """Return the control with every residual replaced by ``change(residual)``."""

        def changed(residual: Residual) -> Residual:
            return None if residual is None else change(residual)

        return Control([changed(r) for r in self.skips], changed(self.middle), [changed(r) for r in self.inputs])


def with_residual(h: Tensor, residual: Residual) -> Tensor:
    """Add ``residual`` to a feature map [B, C, h, w].

    A patch such as deep shrink may have resized the map; a residual of another size is then left out, as in ComfyUI.
    """
    if residual is None:
        return h
    if residual.shape[-2:] not in (h.shape[-2:], (1, 1)):
        if (context := current()) is not None:
            context.show_warning("a patch resizes the model's feature maps; the control of those maps is left out")
        return h
    return h + residual.to(h)


class Rows(NamedTuple):
    """The control for some items of a batch; None leaves them unchanged."""

    rows: Sequence[int]
    control: Control | None


def of_batch(parts: Sequence[Rows], size: int) -> Control | None:
    """Combine the controls of items to one for a batch of ``size`` items; None if there is none."""
    parts = [part for part in parts if part.control is not None]
    if not parts:
        return None
    found = [part.control or Control() for part in parts]
    rows = [part.rows for part in parts]
    return Control(
        [_scattered(each, rows, size) for each in zip_longest(*(control.skips for control in found))],
        _scattered([control.middle for control in found], rows, size),
        [_scattered(each, rows, size) for each in zip_longest(*(control.inputs for control in found))],
    )


def _sum(a: Residual, b: Residual) -> Residual:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _scattered(residuals: Sequence[Residual], rows: Sequence[Sequence[int]], size: int) -> Residual:
    """Return one residual for the whole batch, with zeros for items without a residual."""
    present = [(residual, own) for residual, own in zip(residuals, rows, strict=True) if residual is not None]
    if not present:
        return None
    shape = torch.broadcast_shapes(*(residual.shape[1:] for residual, _ in present))
    whole = present[0][0].new_zeros(size, *shape)
    for residual, own in present:
        whole[list(own)] = residual.to(whole)
    return whole
