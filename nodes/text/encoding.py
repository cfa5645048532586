"""From weighted tokens to the vectors that condition a diffusion model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from nodes.models.checkpoint import CheckpointError
from nodes.models.handle import Clip, TextEncoder
from nodes.text.clip import Encoded
from nodes.text.embeddings import usable_embedding
from nodes.text.tokenizer import PromptError
from nodes.text.tokens import Chunk, Tokens, chunked

log = logging.getLogger(__name__)

BATCH = 32
"""Chunks encoded at once; bounds memory for prompts of thousands of words."""

Vectors = Callable[[str], Tensor]
"""The vectors [n, width] of the embedding of that name."""


class _Layer(NamedTuple):
    """A layer of a text encoder, counted from the end, and whether the final norm is applied to its output."""

    number: int
    final_norm: bool


def encode_tokens(clip: Clip, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """The embedding [1, 77k, width] of k chunks and the pooled vector [1, width]; float32, on the CPU.

    The outputs of several text encoders are joined along the width, and cut to the shortest: an embedding may have
    more vectors for one encoder than for another. Raises PromptError for tokens of other encoders, CheckpointError if
    a model's file or an embedding's is not what it was.
    """
    names = [encoder.role.name for encoder in clip.encoders]
    if not all(tokens.get(name) for name in names):
        raise PromptError(f"the tokens are for the encoders {sorted(tokens)}; this model's are {sorted(names)}")
    joined = []
    pooled = None
    for encoder in clip.encoders:
        hidden, pooled_here = _encode_chunks(encoder, tokens[encoder.role.name], clip)
        joined.append(hidden)
        pooled = pooled_here if encoder.role.pools else pooled
    assert pooled is not None, "every family has a text encoder that pools"
    shortest = min(hidden.shape[1] for hidden in joined)
    return torch.cat([hidden[:, :shortest] for hidden in joined], dim=-1), pooled


@torch.no_grad()
def _encode_chunks(encoder: TextEncoder, chunks: list[Chunk], clip: Clip) -> Encoded:
    """``hidden`` [1, 77k, width] of k chunks, and ``pooled`` [1, width] of the first; float32, CPU.

    A token's weight w moves its vector z away from that of the empty prompt in the same place:
    z_empty + w·(z - z_empty).
    """

    @cache
    def vectors(name: str) -> Tensor:
        embedding = usable_embedding(name, clip.folders, encoder.config.width, encoder.role.name)
        if embedding is None:
            raise CheckpointError(f"embedding '{name}' is gone, or made for another model; tokenize the text again")
        return embedding.vectors()

    weights = torch.tensor([[token[1] for token in chunk] for chunk in chunks], dtype=torch.float32)
    weighted = bool((weights != 1.0).any())
    with_empty = [*chunks, *(chunked([], encoder.role.padding) if weighted else [])]
    encoded = _encode(encoder, with_empty, _layer(encoder, clip.layer), vectors)
    hidden = encoded.hidden
    if weighted:
        hidden, empty = hidden[:-1], hidden[-1:]
        weights = weights.unsqueeze(-1)
        hidden = torch.where(weights == 1.0, hidden, empty + weights * (hidden - empty))
    return Encoded(hidden.flatten(0, 1).unsqueeze(0), encoded.pooled[:1])


def _layer(encoder: TextEncoder, chosen: int | None) -> _Layer:
    """The layer that is used; below the first it is the last, after the final norm."""
    layers = encoder.config.layers
    number = encoder.role.layer_in(encoder.config, chosen)
    if number < -layers:
        log.warning("CLIP layer %d: %s has %d layers; the last one is used", number, encoder.role.kind, layers)
        return _Layer(-1, final_norm=True)
    return _Layer(number, encoder.role.final_norm)


def _encode(encoder: TextEncoder, chunks: list[Chunk], layer: _Layer, vectors: Vectors) -> Encoded:
    """``hidden`` [k, 77, width] and ``pooled`` [k, width], float32 on the CPU."""
    network = encoder.network()
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(chunks), BATCH):
        ids, replaced = _inputs(chunks[start : start + BATCH], vectors)
        hidden, pooled = network(ids.to(device), replaced, layer.number, layer.final_norm)
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
