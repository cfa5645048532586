"""A layer of CLIP's transformers (arXiv:2103.00020), which encode both texts and pictures."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class ClipLayer(nn.Module):
    """Pre-norm self-attention and feed-forward over tokens [B, T, width], named as in transformers.

    ``causal``: a token attends only to itself and earlier tokens.
    """

    def __init__(
        self, width: int, heads: int, mlp: int, activation: Literal["quick_gelu", "gelu"], *, causal: bool = False
    ):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(width)
        self.self_attn = Attention(width, heads, causal)
        self.layer_norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, mlp, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, causal: bool):
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, T, width / heads]
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, activation: Literal["quick_gelu", "gelu"]):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = quick_gelu if activation == "quick_gelu" else functional.gelu

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.activation(self.fc1(x)))
        return out


def quick_gelu(x: Tensor) -> Tensor:
    """Compute the approximation of GELU with which OpenAI trained CLIP: x · sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)
