"""The T2I style adapter (Mou et al., arXiv:2302.08453): converts a picture's CLIP tokens to tokens of a prompt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nodes.control.residual_attention import ResidualAttention
from nodes.control.style_config import StyleConfig


class StyleAdapter(nn.Module):
    """Converts tokens of an image encoder [B, T, width] to tokens of a prompt [B, tokens, context]."""

    def __init__(self, config: StyleConfig):
        super().__init__()
        self.config = config
        self.style_embedding = nn.Parameter(torch.empty(1, config.tokens, config.width))
        self.proj = nn.Parameter(torch.empty(config.width, config.context))
        self.ln_pre = nn.LayerNorm(config.width)
        self.ln_post = nn.LayerNorm(config.width)
        self.transformer_layes = nn.ModuleList(
            ResidualAttention(config.width, config.heads) for _ in range(config.layers)
        )  # the files' spelling
        self.requires_grad_(False).eval()

    def forward(self, tokens: Tensor) -> Tensor:
        style = self.style_embedding.expand(len(tokens), -1, -1)
        x = self.ln_pre(torch.cat([tokens.to(style), style], dim=1))
        for layer in self.transformer_layes:
            x = layer(x)
        out: Tensor = self.ln_post(x[:, -self.config.tokens :]) @ self.proj
        return out
