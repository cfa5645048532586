"""Cuts a picture into a list of overlapping tiles and joins them again with feathered seams."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.feather import ramp
from nodes.resize import SizeError


def starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side: evenly by tile - overlap, the last one at the end of the side."""
    tile = min(tile, side)
    step = max(1, tile - min(overlap, tile - 1))
    found = list(range(0, max(1, side - tile + 1), step))
    if found[-1] + tile < side:
        found.append(side - tile)
    return found


def split(image: Tensor, tile_width: int, tile_height: int, overlap: int) -> list[Tensor]:
    """The tiles of ``image`` [B, H, W, C], row by row, each [B, tile_height, tile_width, C] or the picture's side."""
    height, width = image.shape[1:3]
    return [
        image[:, top : top + tile_height, left : left + tile_width].contiguous()
        for top in starts(height, tile_height, overlap)
        for left in starts(width, tile_width, overlap)
    ]


def merged(tiles: Sequence[Tensor], width: int, height: int, overlap: int) -> Tensor:
    """The picture [B, height, width, C] of tiles that :func:`split` made with the same overlap.

    Enlarged tiles fit if width, height and overlap are enlarged as much. Raises SizeError if the number does not fit.
    """
    tile_height, tile_width = tiles[0].shape[1:3]
    places = [
        (top, left) for top in starts(height, tile_height, overlap) for left in starts(width, tile_width, overlap)
    ]
    if len(places) != len(tiles):
        raise SizeError(
            f"{len(tiles)} tiles of {tile_width}×{tile_height} with an overlap of {overlap}; a picture of "
            f"{width}×{height} has {len(places)}"
        )
    total = torch.zeros(tiles[0].shape[0], height, width, tiles[0].shape[-1])
    weights = torch.zeros(height, width, 1)
    for (top, left), tile in zip(places, tiles, strict=True):
        own_height, own_width = tile.shape[1:3]
        mask = (
            ramp(own_height, min(overlap, own_height), True, True)[:, None]
            * ramp(own_width, min(overlap, own_width), True, True)
        ).unsqueeze(-1)
        total[:, top : top + own_height, left : left + own_width] += tile * mask
        weights[top : top + own_height, left : left + own_width] += mask
    return total / weights
