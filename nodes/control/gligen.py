"""GLIGEN (Li et al., arXiv:2301.07093): places phrases in boxes by gated self-attention in a U-Net's transformers.

Tensors have the names of the original repository (gligen/GLIGEN, MIT).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nodes.control.gligen_config import BOX_WIDTH, BOXES, FREQUENCIES, GligenConfig
from nodes.fused import Linear
from nodes.unet.attention import CrossAttention, FeedForward

_TEMPERATURE = 100


class Gligen(nn.Module):
    """The projection ``position_net`` of the phrases, and a gated attention per transformer under the U-Net's names."""

    def __init__(self, config: GligenConfig):
        super().__init__()
        self.config = config
        self.position_net = PositionNet(config)
        for place, channels in config.places:
            fuser = GatedAttention(channels, config.width, config.heads(channels))
            _put(self, f"{place}.transformer_blocks.0.fuser", fuser)
        self.requires_grad_(False).eval()

    def fusers(self) -> list[GatedAttention]:
        """Return the gated attentions in the order in which the U-Net's transformers run."""
        found = (self.get_submodule(f"{place}.transformer_blocks.0.fuser") for place, _ in self.config.places)
        return [module for module in found if isinstance(module, GatedAttention)]


class PositionNet(nn.Module):
    """Converts phrases and their boxes to tokens [B, BOXES, width]."""

    def __init__(self, config: GligenConfig):
        super().__init__()
        self.linears = nn.Sequential(
            Linear(config.text + BOX_WIDTH, config.inner),
            nn.SiLU(),
            Linear(config.inner, config.inner),
            nn.SiLU(),
            Linear(config.inner, config.width),
        )
        self.null_positive_feature = nn.Parameter(torch.zeros(config.text))
        self.null_position_feature = nn.Parameter(torch.zeros(BOX_WIDTH))

    def forward(self, phrases: Tensor, boxes: Tensor) -> Tensor:
        """Convert ``phrases`` [n, text] with ``boxes`` [n, 4] (left, top, right, bottom, 0..1 of the picture).

        n is at most BOXES. Returns [1, BOXES, width]; unused places hold the learned empty token.
        """
        empty = BOXES - len(phrases)
        null = self.null_positive_feature
        texts = torch.cat([phrases.to(null), null.expand(empty, -1)])
        places = torch.cat([fourier(boxes).to(null), self.null_position_feature.expand(empty, -1)])
        tokens: Tensor = self.linears(torch.cat([texts, places], dim=-1)[None])
        return tokens


class GatedAttention(nn.Module):
    """Self-attention over positions [B, T, channels] and the phrases' tokens, added after a learned gate."""

    def __init__(self, channels: int, width: int, heads: int):
        super().__init__()
        self.linear = Linear(width, channels)
        self.attn = CrossAttention(channels, channels, heads)
        self.ff = FeedForward(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.alpha_attn = nn.Parameter(torch.tensor(0.0))
        self.alpha_dense = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor, phrases: Tensor) -> Tensor:
        joined = torch.cat([x, self.linear(phrases.to(x))], dim=1)
        attended = self.attn(self.norm1(joined))[:, : x.shape[1]]
        x = x + self.alpha_attn.tanh() * attended
        return x + self.alpha_dense.tanh() * self.ff(self.norm2(x))


def fourier(boxes: Tensor) -> Tensor:
    """Convert boxes [n, 4] to [n, 64]: sines and cosines of the four numbers at each frequency."""
    frequencies = _TEMPERATURE ** (torch.arange(FREQUENCIES, device=boxes.device) / FREQUENCIES)
    angles = frequencies[None, :, None] * boxes[:, None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def _put(root: nn.Module, path: str, module: nn.Module) -> None:
    """Add ``module`` at a dotted path, and the empty parent modules that it needs."""
    *outer, name = path.split(".")
    for part in outer:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = getattr(root, part)
    root.add_module(name, module)
