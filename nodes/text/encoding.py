"""Encodes weighted tokens to the vectors that condition a diffusion model."""

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
from nodes.text.embeddings import UnusableEmbeddingError, usable_embedding
from nodes.text.tokenizer import PromptError
from nodes.text.tokens import Chunk, Tokens, chunked

log = logging.getLogger(__name__)

BATCH = 32
"""Number of chunks encoded at once; limits memory for prompts of thousands of words."""

Vectors = Callable[[str], Tensor]
"""Function that returns the vectors [n, width] of the embedding with that name."""


class _Layer(NamedTuple):
    """A layer of a text encoder, counted from the end, and whether the final norm is applied to its output."""

    number: int
    final_norm: bool


def encode_tokens(clip: Clip, tokens: Tokens, projected: bool = True) -> tuple[Tensor, Tensor]:
    """Return the embedding [1, 77k, width] of k chunks and the pooled vector [1, width]; float32, on the CPU.

    The outputs of several text encoders are joined along the width and cut to the shortest: an embedding may have
    more vectors for one encoder than for another. Raises PromptError for tokens of other encoders, CheckpointError if
    the file of a model or an embedding has changed.
    """
    names = [encoder.role.name for encoder in clip.encoders]
    if not all(tokens.get(name) for name in names):
        raise PromptError(f"the tokens are for the encoders {sorted(tokens)}; this model's are {sorted(names)}")
    joined = []
    pooled = None
    for encoder in clip.encoders:
        hidden, pooled_here = _encode_chunks(encoder, tokens[encoder.role.name], clip, projected)
        joined.append(hidden)
        pooled = pooled_here if encoder.role.pools else pooled
    assert pooled is not None, "every family has a text encoder that pools"
    shortest = min(hidden.shape[1] for hidden in joined)
    return torch.cat([hidden[:, :shortest] for hidden in joined], dim=-1), pooled


@torch.no_grad()
def encode_unweighted(
    encoder: TextEncoder, chunks: list[Chunk], clip: Clip, chosen_layer: int | None = None, projected: bool = True
) -> Encoded:
    """Return ``hidden`` [k, 77, width] and ``pooled`` [k, width] of k chunks, ignoring weights; float32, on the CPU.

    ``chosen_layer`` replaces the layer that the model's family uses: -1 is the last one.
    """

    @cache
    def vectors(name: str) -> Tensor:
        try:
            return usable_embedding(name, clip.folders, encoder.config.width, encoder.role.name).vectors()
        except UnusableEmbeddingError as error:
            raise CheckpointError(f"embedding '{name}' cannot be used: {error}; tokenize the text again") from error

    return _encode(encoder, chunks, _layer(encoder, chosen_layer), vectors, projected)


def _encode_chunks(encoder: TextEncoder, chunks: list[Chunk], clip: Clip, projected: bool) -> Encoded:
    """Return ``hidden`` [1, 77k, width] of k chunks, and ``pooled`` [1, width] of the first; float32, CPU.

    A token's weight w moves its vector z away from the empty prompt's vector at the same position:
    z_empty + w·(z - z_empty).
    """
    weights = torch.tensor([[token[1] for token in chunk] for chunk in chunks], dtype=torch.float32)
    weighted = bool((weights != 1.0).any())
    with_empty = [*chunks, *(chunked([], encoder.role.padding) if weighted else [])]
    encoded = encode_unweighted(encoder, with_empty, clip, clip.layer, projected)
    hidden = encoded.hidden
    if weighted:
        hidden, empty = hidden[:-1], hidden[-1:]
        weights = weights.unsqueeze(-1)
        hidden = torch.where(weights == 1.0, hidden, empty + weights * (hidden - empty))
    return Encoded(hidden.flatten(0, 1).unsqueeze(0), encoded.pooled[:1])


def _layer(encoder: TextEncoder, chosen: int | None) -> _Layer:
    """Return the layer to use; a number below the first layer means the last one, after the final norm."""
    layers = encoder.config.layers
    number = encoder.role.layer_in(encoder.config, chosen)
    if number < -layers:
        log.warning("CLIP layer %d: %s has %d layers; the last one is used", number, encoder.role.kind, layers)
        return _Layer(-1, final_norm=True)
    return _Layer(number, encoder.role.final_norm)


def _encode(encoder: TextEncoder, chunks: list[Chunk], layer: _Layer, vectors: Vectors, projected: bool) -> Encoded:
    """Return ``hidden`` [k, 77, width] and ``pooled`` [k, width], float32 on the CPU."""
    network = encoder.network()
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(chunks), BATCH):
        ids, replaced = _inputs(chunks[start : start + BATCH], vectors)
        hidden, pooled = network(ids.to(device), replaced, layer.number, layer.final_norm, projected)
        parts.append((hidden.float().cpu(), pooled.float().cpu()))
    return Encoded(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _inputs(chunks: list[Chunk], vectors: Vectors) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
    """Return ids [B, 77] and the vectors that replace some of them; the replaced ids are never the end token's."""
    replaced: dict[tuple[int, int], Tensor] = {}
    ids = torch.zeros((len(chunks), len(chunks[0])), dtype=torch.int64)
    for row, chunk in enumerate(chunks):
        for position, token in enumerate(chunk):
            if isinstance(token[0], dict):
                replaced[row, position] = vectors(token[0]["embedding"])[token[0]["vector"]]
            elif isinstance(token[0], Tensor):  # node packs write vectors into tokens
                replaced[row, position] = token[0].flatten()
            else:
                ids[row, position] = token[0]
    return ids, replaced
