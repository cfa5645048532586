"""CLIP's text transformer, which maps token ids to a vector for each position.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
(arXiv:2103.00020). A causal pre-norm transformer; its parameters are named as in transformers'
CLIPTextModel and SD1 checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nodes.clip_layer import ClipLayer
from nodes.models.text_config import TextConfig
from nodes.text.tokenizer import END


class Encoded(NamedTuple):
    """``hidden`` [B, T, width]; ``pooled`` [B, width], or [B, projection] if there is a projection."""

    hidden: Tensor
    pooled: Tensor


class ClipText(nn.Module):
    """The text encoder of the Stable Diffusion families: CLIP's and OpenCLIP's, in any size."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.text_model = Transformer(config)
        self.text_projection = None
        if config.projection is not None:
            self.text_projection = nn.Linear(config.width, config.projection, bias=False)

    def forward(
        self,
        ids: Tensor,
        vectors: Mapping[tuple[int, int], Tensor] | None = None,
        layer: int = -1,
        final_norm: bool = True,
        projected: bool = True,
    ) -> Encoded:
        """Encode ``ids`` [B, T], int64, each row holding an end token; T is at most 77.

        ``vectors`` (row, position) → [width] replace the embedding of the id there: textual
        inversion, arXiv:2208.01618. ``layer`` -1 selects the last layer's output, -2 the one before, down to
        minus the number of layers; with ``final_norm``, the final norm is applied to it.
        ``pooled`` is the last layer's output at the first end token, after the final norm, projected if the encoder
        has a projection and ``projected`` says so.
        """
        last, chosen = self.text_model(ids, vectors or {}, layer, final_norm)
        ends = (ids == END).int().argmax(dim=1)
        pooled = last[torch.arange(len(ids), device=ids.device), ends]
        if projected and self.text_projection is not None:
            pooled = self.text_projection(pooled)
        return Encoded(chosen, pooled)


class Transformer(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(
        self, ids: Tensor, vectors: Mapping[tuple[int, int], Tensor], layer: int, final_norm: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs [B, T, width] of the last layer, after the final norm, and of ``layer``, normed or not."""
        last, chosen = self.encoder(self.embeddings(ids, vectors), layer)
        return self.final_layer_norm(last), self.final_layer_norm(chosen) if final_norm else chosen


class Embeddings(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)

    def forward(self, ids: Tensor, vectors: Mapping[tuple[int, int], Tensor]) -> Tensor:
        x = self.token_embedding(ids)
        for (row, position), vector in vectors.items():
            x[row, position] = vector.to(x)
        return x + self.position_embedding(torch.arange(ids.shape[1], device=ids.device))


class Layers(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.layers = nn.ModuleList(
            ClipLayer(config.width, config.heads, config.mlp, config.activation, causal=True)
            for _ in range(config.layers)
        )

    def forward(self, x: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Return the outputs of the last layer and of ``layer``, counted from the end: -1 is the last."""
        outputs = []
        for each in self.layers:
            x = each(x)
            outputs.append(x)
        return x, outputs[layer]
