"""A function of a large feature map, computed tile by tile and feathered together."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor


def tiled(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    tile: int,
    overlap: int,
    scale: Fraction,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """``function(x)`` from tiles of ``tile`` x ``tile`` positions of which ``overlap`` are shared.

    ``function`` maps [1, C, h, w] to [1, C', h * scale, w * scale]; sides, ``tile`` and ``overlap``
    times ``scale`` must be whole. Where tiles overlap their results are averaged with weights
    that rise linearly from each inner edge. ``tick(done, total)`` is called before each tile.
    Returns float32 on the CPU.
    """
    batch, _, height, width = x.shape
    grid = [(row, column) for row in spans(height, tile, overlap) for column in spans(width, tile, overlap)]
    ramp = int(overlap * scale)
    weight = torch.zeros(int(height * scale), int(width * scale))
    result: Tensor | None = None
    for index in range(batch):
        for number, (row, column) in enumerate(grid):
            tick(index * len(grid) + number, batch * len(grid))
            piece = function(x[index : index + 1, :, row, column])[0].float().cpu()
            mask = _feather(row, height, ramp, scale)[:, None] * _feather(column, width, ramp, scale)
            if result is None:
                result = torch.zeros(batch, len(piece), *weight.shape)
            there = (_scaled(row, scale), _scaled(column, scale))
            result[index, :, *there] += piece * mask
            if index == 0:
                weight[there] += mask
    if result is None:
        raise ValueError("an empty batch has no tiles")
    return result.div_(weight)


def spans(size: int, tile: int, overlap: int) -> list[slice]:
    """Where tiles lie along a side of ``size``: neighbours share at least ``overlap``, the last one ends flush.

    Raises ValueError if a tile is no larger than the overlap.
    """
    if overlap >= tile:
        raise ValueError(f"tiles of {tile} cannot overlap by {overlap}")
    if size <= tile:
        return [slice(0, size)]
    starts = [*range(0, size - tile, tile - overlap), size - tile]
    return [slice(start, start + tile) for start in starts]


def _feather(span: slice, size: int, ramp: int, scale: Fraction) -> Tensor:
    """Weights along one side of a tile's result: 1, rising over ``ramp`` from edges that are not the map's own."""
    place = _scaled(span, scale)
    positions = torch.arange(1, place.stop - place.start + 1, dtype=torch.float32) / (ramp + 1)
    weights = torch.ones_like(positions)
    if span.start > 0:
        weights = torch.minimum(weights, positions)
    if span.stop < size:
        weights = torch.minimum(weights, positions.flip(0))
    return weights


def _scaled(span: slice, scale: Fraction) -> slice:
    return slice(int(span.start * scale), int(span.stop * scale))
