"""The U-Net's convolutional parts: residual block, downsampling, upsampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.fused import Convolution, GroupNorm, Linear
from nodes.silu import silu

GROUPS = 32


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection; the timestep embedding is added between them.

    Maps [B, in, h, w] and an embedding [B, width], after SiLU, to [B, out, h, w].
    """

    def __init__(self, in_channels: int, out_channels: int, embedding_width: int):
        super().__init__()
        self.in_layers = nn.Sequential(
            GroupNorm(GROUPS, in_channels), nn.SiLU(), Convolution(in_channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(embedding_width, out_channels))
        self.out_layers = nn.Sequential(
            GroupNorm(GROUPS, out_channels),
            nn.SiLU(),
            nn.Dropout(0.0),
            Convolution(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = (
            nn.Identity() if in_channels == out_channels else Convolution(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, activated_embedding: Tensor) -> Tensor:
        norm_in, _, conv_in = self.in_layers
        norm_out, _, _, conv_out = self.out_layers
        h = conv_in(silu(norm_in(x)))
        h += self.emb_layers[1](activated_embedding)[:, :, None, None]
        return conv_out(silu(norm_out(h)), plus=self.skip_connection(x))


class Downsample(nn.Module):
    """Halves height and width, rounding up."""

    def __init__(self, channels: int):
        super().__init__()
        self.op = Convolution(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Doubles height and width, or resizes to the next skip connection."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Convolution(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size | tuple[int, int] | None = None) -> Tensor:
        size = size or (2 * x.shape[2], 2 * x.shape[3])
        return self.conv(F.interpolate(x, size=size, mode="nearest"))
