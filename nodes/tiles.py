"""Computes a function of a large feature map tile by tile, and blends the tiles."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from nodes.feather import ramp


def tiled_thrice(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    tile: int,
    overlap: int,
    scale: Fraction,
    unit: int = 1,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Return the mean of three tilings: tiles half as wide and twice as high, twice as wide and half as high, square.

    The seams of each tiling are in the middle of the others' tiles. ComfyUI's tiled VAE nodes average the same three.
    Sides are multiples of ``unit``. See :func:`tiled`.
    """
    half = max(unit, tile // 2 // unit * unit)
    sizes = [(tile * 2, half), (half, tile * 2), (tile, tile)]
    counts = [len(x) * len(_grid(x, size, _fitting(overlap, size, unit))) for size in sizes]
    total, done = sum(counts), 0
    results = []
    for size, count in zip(sizes, counts, strict=True):

        def tick_on(number: int, _: int, before: int = done) -> None:
            tick(before + number, total)

        results.append(tiled(function, x, size, _fitting(overlap, size, unit), scale, tick_on))
        done += count
    return torch.stack(results).mean(dim=0)


def tiled(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    tile: tuple[int, int],
    overlap: int,
    scale: Fraction,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Compute ``function(x)`` from tiles of ``tile`` (height, width) positions, of which ``overlap`` are shared.

    ``function`` maps [1, C, h, w] to [1, C', h * scale, w * scale]; sides, ``tile`` and ``overlap``
    times ``scale`` must be whole numbers. Where tiles overlap, their results are averaged with weights
    that rise linearly from each edge. ``tick(done, total)`` is called before each tile.
    Returns float32 on the CPU.
    """
    grid = _grid(x, tile, overlap)
    shared = int(overlap * scale)
    weight = torch.zeros(int(x.shape[2] * scale), int(x.shape[3] * scale))
    result: Tensor | None = None
    for index in range(len(x)):
        for number, (row, column) in enumerate(grid):
            tick(index * len(grid) + number, len(x) * len(grid))
            piece = function(x[index : index + 1, :, row, column])[0].float().cpu()
            mask = _feather(piece.shape[1], shared)[:, None] * _feather(piece.shape[2], shared)
            if result is None:
                result = torch.zeros(len(x), len(piece), *weight.shape)
            there = (_scaled(row, scale), _scaled(column, scale))
            result[index, :, *there] += piece * mask
            if index == 0:
                weight[there] += mask
    if result is None:
        raise ValueError("an empty batch has no tiles")
    return result.div_(weight)


def spans(size: int, tile: int, overlap: int) -> list[slice]:
    """Return the positions of tiles along a side of ``size``: neighbours share ``overlap``, the last may be shorter.

    Raises ValueError if a tile is no larger than the overlap.
    """
    if overlap >= tile:
        raise ValueError(f"tiles of {tile} cannot overlap by {overlap}")
    if size <= tile:
        return [slice(0, size)]
    return [slice(start, min(start + tile, size)) for start in range(0, size - overlap, tile - overlap)]


def _grid(x: Tensor, tile: tuple[int, int], overlap: int) -> list[tuple[slice, slice]]:
    rows, columns = (spans(size, side, overlap) for size, side in zip(x.shape[2:], tile, strict=True))
    return [(row, column) for row in rows for column in columns]


def _fitting(overlap: int, tile: tuple[int, int], unit: int) -> int:
    """Return the overlap, reduced if the tile's short side has no room for it."""
    return min(overlap, (min(tile) - 1) // unit * unit)


def _feather(side: int, overlap: int) -> Tensor:
    """Return [side] weights of a tile's result, rising over ``overlap`` from both ends unless the tile is all overlap.

    The weights also rise at the picture's own edges; dividing by their sum cancels that.
    """
    return ramp(side, overlap if overlap < side else 0, True, True)


def _scaled(span: slice, scale: Fraction) -> slice:
    return slice(int(span.start * scale), int(span.stop * scale))
