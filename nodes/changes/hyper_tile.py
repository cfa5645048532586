"""HyperTile: self-attention in tiles, which is faster for large pictures (github.com/tfernd/HyperTile, MIT)."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from nodes.changes.randomness import generator_of

_SPLIT: Final = "hyper_tile_split"


@dataclass(frozen=True)
class HyperTile:
    """Limits self-attention to the tokens of one tile, at the latent's resolution and ``max_depth`` halvings of it.

    A side of a tile has at least ``tile_size`` pixels; with ``scale_depth``, the minimum has the same number of tokens
    at each resolution. The number of tiles along a side is chosen at random from the ``swap_size`` largest that divide
    the side.

    Add :meth:`split` and :meth:`join` as patches of ``attn1`` and of its output, to a model with a generator
    (:mod:`nodes.changes.randomness`).
    """

    tile_size: int
    swap_size: int
    max_depth: int
    scale_depth: bool

    def split(
        self, q: Tensor, k: Tensor, v: Tensor, options: MutableMapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the tokens [B, h · w, C] of each tensor as [B · tiles, tokens of a tile, C]."""
        height, width = options["activations_shape"][-2:]
        depth = self._depth(height, width, options["original_shape"])
        if depth is None or k.shape[1] != q.shape[1]:
            return q, k, v
        smallest = max(32, self.tile_size) // 8 * (2**depth if self.scale_depth else 1)
        generator = generator_of(options)
        rows, columns = (tile_count(side, smallest, self.swap_size, generator) for side in (height, width))
        if rows * columns == 1:
            return q, k, v
        # The patches of one attention share its options, so that :meth:`join` can read the tiling.
        options[_SPLIT] = rows, columns
        q, k, v = (_tiles(x, rows, columns, height, width) for x in (q, k, v))
        return q, k, v

    def join(self, tokens: Tensor, options: MutableMapping[str, Any]) -> Tensor:
        """Return the output [B · tiles, tokens of a tile, C] of a split attention as [B, h · w, C]."""
        if _SPLIT not in options:
            return tokens
        rows, columns = options.pop(_SPLIT)
        height, width = options["activations_shape"][-2:]
        tokens = tokens.unflatten(1, (height // rows, width // columns)).unflatten(0, (-1, rows, columns))
        return tokens.permute(0, 1, 3, 2, 4, 5).reshape(tokens.shape[0], height * width, -1)

    def _depth(self, height: int, width: int, latent: list[int]) -> int | None:
        """Return the number of halvings from the latent to this feature map, or None if it exceeds ``max_depth``."""
        tokens = height * width
        depths = (depth for depth in range(self.max_depth + 1) if latent[-2] * latent[-1] == tokens * 4**depth)
        return next(depths, None)


def tile_count(side: int, smallest: int, choices: int, generator: torch.Generator) -> int:
    """Return, at random, one of the ``choices`` largest divisors that leave ``side`` parts of at least ``smallest``."""
    smallest = min(smallest, side)
    parts = [part for part in range(smallest, side + 1) if side % part == 0][:choices]
    return side // parts[int(torch.randint(len(parts), (1,), generator=generator))]


def _tiles(x: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    x = x.unflatten(1, (rows, height // rows, columns, width // columns)).transpose(2, 3)
    return x.flatten(3, 4).flatten(0, 2)
