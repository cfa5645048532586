"""Token merging for diffusion: similar queries of self-attention are merged. Bolya & Hoffman, arXiv:2303.17604."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from nodes.changes.randomness import generator_of

_MERGED: Final = "token_merging"
_STRIDE: Final = 2


@dataclass(frozen=True)
class MergedTokens:
    """Pairs of similar tokens in one attention: each merged token and the token that it is merged into.

    One token of each 2 × 2 is a destination, the others are sources. Indices are [B, n, 1].
    """

    destinations: Tensor
    sources: Tensor
    kept: Tensor
    """Positions in ``sources`` of the tokens that are not merged."""
    merged: Tensor
    """Positions in ``sources`` of the tokens that are merged."""
    into: Tensor
    """Positions in ``destinations`` that they are merged into."""

    @classmethod
    def of(cls, x: Tensor, height: int, width: int, count: int, generator: torch.Generator) -> MergedTokens | None:
        """Return the ``count`` most similar pairs of ``x`` [B, height · width, C], or None if there are none."""
        destinations, sources = _divided(height, width, generator)
        count = min(count, len(sources))
        if count <= 0:
            return None
        direction = x / x.norm(dim=-1, keepdim=True)
        similarity = direction[:, sources] @ direction[:, destinations].transpose(1, 2)
        highest, best = similarity.max(dim=-1)
        order = highest.argsort(dim=-1, descending=True)
        merged, kept = order[:, :count], order[:, count:]
        into = best.gather(1, merged)
        batch = x.shape[0]
        destinations, sources = (
            indices.to(x.device).expand(batch, -1).unsqueeze(-1) for indices in (destinations, sources)
        )
        return cls(destinations, sources, kept.unsqueeze(-1), merged.unsqueeze(-1), into.unsqueeze(-1))

    def merge(self, x: Tensor) -> Tensor:
        """Merge ``x`` [B, T, C] to [B, T - count, C]: other sources, then destinations averaged with their sources."""
        sources, destinations = _taken(x, self.sources), _taken(x, self.destinations)
        added = _taken(sources, self.merged)
        averaged = destinations.scatter_reduce(1, self.into.expand_as(added), added, "mean")
        return torch.cat([_taken(sources, self.kept), averaged], dim=1)

    def unmerge(self, x: Tensor) -> Tensor:
        """Return ``x`` [B, T - count, C] as [B, T, C]: each merged token gets a copy of its destination."""
        staying = self.kept.shape[1]
        stayed, destinations = x[:, :staying], x[:, staying:]
        batch, _, channels = x.shape
        tokens = self.sources.shape[1] + self.destinations.shape[1]
        whole = x.new_empty(batch, tokens, channels)
        places = (self.destinations, self.sources.gather(1, self.kept), self.sources.gather(1, self.merged))
        for at, values in zip(places, (destinations, stayed, _taken(destinations, self.into)), strict=True):
            whole.scatter_(1, at.expand(-1, -1, channels), values)
        return whole


def _taken(x: Tensor, indices: Tensor) -> Tensor:
    return x.gather(1, indices.expand(-1, -1, x.shape[2]))


def _divided(height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the positions of the destinations (a random one of each 2 × 2 tokens) and of the sources (all others)."""
    rows, columns = height // _STRIDE, width // _STRIDE
    chosen = torch.randint(_STRIDE**2, (rows, columns), generator=generator)
    is_destination = torch.zeros(height, width, dtype=torch.bool)
    at_row = torch.arange(rows)[:, None] * _STRIDE + chosen // _STRIDE
    at_column = torch.arange(columns)[None, :] * _STRIDE + chosen % _STRIDE
    is_destination[at_row, at_column] = True
    flat = is_destination.flatten()
    return flat.nonzero()[:, 0], (~flat).nonzero()[:, 0]


@dataclass(frozen=True)
class TokenMerging:
    """Merges the fraction ``ratio`` of the queries of self-attention at the latent's full resolution.

    Add :meth:`merge` and :meth:`unmerge` as patches of ``attn1`` and of its output, to a model with a generator
    (:mod:`nodes.changes.randomness`).
    """

    ratio: float

    def merge(
        self, q: Tensor, k: Tensor, v: Tensor, options: MutableMapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Merge similar queries; keys and values stay unchanged."""
        height, width = options["activations_shape"][-2:]
        whole = q.shape[1] == height * width  # otherwise another patch has divided the tokens
        if whole and [height, width] == list(options["original_shape"][-2:]):
            pairing = MergedTokens.of(q, height, width, int(q.shape[1] * self.ratio), generator_of(options))
            if pairing is not None:
                # The patches of one attention share its options, so that :meth:`unmerge` can read the pairs.
                options[_MERGED] = pairing
                return pairing.merge(q), k, v
        return q, k, v

    def unmerge(self, tokens: Tensor, options: MutableMapping[str, Any]) -> Tensor:
        """Expand the output of an attention with merged queries to all tokens."""
        pairing: MergedTokens | None = options.pop(_MERGED, None)
        return tokens if pairing is None else pairing.unmerge(tokens)
