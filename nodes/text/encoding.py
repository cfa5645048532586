"""From weighted tokens to the vectors that condition a diffusion model."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from nodes.models.text_config import TextConfig
from nodes.text.clip import ClipText, Encoded
from nodes.text.tokens import Chunk, chunked

log = logging.getLogger(__name__)

BATCH = 32
"""Chunks encoded at once; bounds memory for prompts of thousands of words."""

Vectors = Callable[[str], Tensor]
"""The vectors [n, width] of the embedding of that name."""


@torch.no_grad()
def encode_chunks(
    encoder: ClipText, config: TextConfig, chunks: list[Chunk], layer: int, vectors: Vectors
) -> tuple[Tensor, Tensor]:
    """The embedding [1, 77k, width] of k chunks, and the pooled output [1, width] of the first; float32, CPU.

    A token's weight w moves its vector z away from that of the empty prompt in the same place:
    z_empty + w·(z - z_empty). ``layer`` -1 is the last, -2 the one before; below the first it is the last.
    """
    if layer < -config.layers:
        log.warning("CLIP layer %d: this text encoder has %d layers; the last one is used", layer, config.layers)
        layer = -1
    weights = torch.tensor([[token[1] for token in chunk] for chunk in chunks], dtype=torch.float32)
    weighted = bool((weights != 1.0).any())
    encoded = _encode(encoder, [*chunks, *(chunked([], config.padding) if weighted else [])], layer, vectors)
    hidden = encoded.hidden
    if weighted:
        hidden, empty = hidden[:-1], hidden[-1:]
        weights = weights.unsqueeze(-1)
        hidden = torch.where(weights == 1.0, hidden, empty + weights * (hidden - empty))
    return hidden.flatten(0, 1).unsqueeze(0), encoded.pooled[:1]


def _encode(encoder: ClipText, chunks: list[Chunk], layer: int, vectors: Vectors) -> Encoded:
    """``hidden`` [k, 77, width] and ``pooled`` [k, width], float32 on the CPU."""
    device = next(encoder.parameters()).device
    parts = []
    for start in range(0, len(chunks), BATCH):
        ids, replaced = _inputs(chunks[start : start + BATCH], vectors)
        hidden, pooled = encoder(ids.to(device), replaced, layer)
        parts.append((hidden.float().cpu(), pooled.float().cpu()))
    return Encoded(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _inputs(chunks: list[Chunk], vectors: Vectors) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
    """Ids [B, 77], and what stands in for some of them; its id matters no more, and is not the end token's."""
    replaced: dict[tuple[int, int], Tensor] = {}
    ids = torch.zeros((len(chunks), len(chunks[0])), dtype=torch.int64)
    for row, chunk in enumerate(chunks):
        for position, token in enumerate(chunk):
            if isinstance(token[0], dict):
                replaced[row, position] = vectors(token[0]["embedding"])[token[0]["vector"]]
            else:
                ids[row, position] = token[0]
    return ids, replaced
