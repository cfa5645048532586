"""T2I-Adapter (Mou et al., arXiv:2302.08453): feature maps of a picture, added to those of a U-Net's encoder half.

Tensors have the names of the original repository (TencentARC, Apache-2.0).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nodes.control.adapter_config import AdapterConfig
from nodes.fused import Convolution


class Adapter(nn.Module):
    """Computes a feature map per level from a picture [B, picture_channels, H, W], sides multiples of ``factor``."""

    def __init__(self, config: AdapterConfig):
        super().__init__()
        self.config = config
        self.body = nn.ModuleList()
        if config.light:
            before = config.inputs
            for level, width in enumerate(config.channels):
                self.body.append(LightLevel(before, width, config.blocks, config.halves(level)))
                before = width
        else:
            self.conv_in = Convolution(config.inputs, config.channels[0], 3, padding=1)
            for level, width in enumerate(config.channels):
                for block in range(config.blocks):
                    before = config.width_before(level) if block == 0 else width
                    self.body.append(Block(before, width, config, block == 0 and config.halves(level)))

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = F.pixel_unshuffle(picture, self.config.factor)
        blocks = 1 if self.config.light else self.config.blocks
        if not self.config.light:
            x = self.conv_in(x)
        features = []
        for number, block in enumerate(self.body):
            x = block(x)
            if (number + 1) % blocks == 0:
                features.append(x)
        return features


class Block(nn.Module):
    """A residual block of a full adapter, which can first halve the sides."""

    def __init__(self, in_channels: int, out_channels: int, config: AdapterConfig, halves: bool):
        super().__init__()
        kernel, padding = config.kernel, config.kernel // 2
        self.halves = halves
        self.down_opt = None
        if halves and config.convolves:
            self.down_opt = nn.ModuleDict({"op": Convolution(in_channels, in_channels, 3, stride=2, padding=1)})
        self.in_conv = None
        if in_channels != out_channels or config.projects:
            self.in_conv = Convolution(in_channels, out_channels, kernel, padding=padding)
        self.block1 = Convolution(out_channels, out_channels, 3, padding=1)
        self.block2 = Convolution(out_channels, out_channels, kernel, padding=padding)
        self.skep = Convolution(out_channels, out_channels, kernel, padding=padding) if config.projects else None

    def forward(self, x: Tensor) -> Tensor:
        if self.down_opt is not None:
            x = self.down_opt["op"](x)
        elif self.halves:
            x = halved(x)
        if self.in_conv is not None:
            x = self.in_conv(x)
        h = self.block2(F.relu(self.block1(x)))
        result: Tensor = h + (x if self.skep is None else self.skep(x))
        return result


class LightLevel(nn.Module):
    """One level of a light adapter: residual blocks with a quarter of the channels."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, halves: bool):
        super().__init__()
        self.halves = halves
        inner = out_channels // 4
        self.in_conv = Convolution(in_channels, inner, 1)
        self.body = nn.ModuleList(LightBlock(inner) for _ in range(blocks))
        self.out_conv = Convolution(inner, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(halved(x) if self.halves else x)
        for block in self.body:
            x = block(x)
        result: Tensor = self.out_conv(x)
        return result


class LightBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.block1 = Convolution(channels, channels, 3, padding=1)
        self.block2 = Convolution(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.block2(F.relu(self.block1(x))) + x
        return result


def halved(x: Tensor) -> Tensor:
    """Halve the sides by averaging 2 × 2 values; odd sides are rounded up, as in the U-Net."""
    return F.avg_pool2d(x, 2, 2, ceil_mode=True)
