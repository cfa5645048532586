"""CLIP's text transformer: token ids to a vector for each position.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
(arXiv:2103.00020). A causal pre-norm transformer; its parameters are named as in transformers'
CLIPTextModel, which is how SD1 checkpoints name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.text_config import TextConfig
from nodes.text.tokenizer import END


class Encoded(NamedTuple):
    """``hidden`` [B, T, width]; ``pooled`` [B, width], or [B, projection] where there is one."""

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
    ) -> Encoded:
        """Encode ``ids`` [B, T], int64, each row holding an end token; T is at most 77.

        ``vectors`` (row, position) → [width] stand in for the embedding of the id there: textual
        inversion, arXiv:2208.01618. ``layer`` -1 gives the last layer's output, -2 the one before, and so
        on to minus the number of layers; with ``final_norm`` it goes through the final norm.
        ``pooled`` is the last layer's output at the first end token, after the final norm, projected if the encoder
        has a projection.
        """
        last, chosen = self.text_model(ids, vectors or {}, layer, final_norm)
        ends = (ids == END).int().argmax(dim=1)
        pooled = last[torch.arange(len(ids), device=ids.device), ends]
        if self.text_projection is not None:
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
        """The output [B, T, width] of the last layer after the final norm, and that of ``layer``, normed or not."""
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
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """The outputs of the last layer and of ``layer``, counted from the end: -1 is the last."""
        outputs = []
        for each in self.layers:
            x = each(x)
            outputs.append(x)
        return x, outputs[layer]


class Layer(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width)
        self.self_attn = Attention(config.width, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Attention(nn.Module):
    """Causal: a token sees itself and those before it."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, T, width / heads]
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)
        self.activation = quick_gelu if config.activation == "quick_gelu" else functional.gelu

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.activation(self.fc1(x)))
        return out


def quick_gelu(x: Tensor) -> Tensor:
    """The approximation of GELU that OpenAI trained CLIP with: x · sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)
