"""The U-Net's convolutional parts: residual block, downsampling, upsampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.silu import silu
from nodes.unet.fused import Convolution, GroupNorm, Linear

GROUPS = 32


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip, shifted between them by the timestep embedding.

    [B, in, h, w] and an embedding [B, width] that has been through SiLU already, to [B, out, h, w].
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
    """Doubles height and width, or goes to the size of the skip connection that comes next."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Convolution(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size | tuple[int, int] | None = None) -> Tensor:
        size = size or (2 * x.shape[2], 2 * x.shape[3])
        return self.conv(F.interpolate(x, size=size, mode="nearest"))
