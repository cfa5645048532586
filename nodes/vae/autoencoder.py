"""The autoencoder of latent diffusion (Rombach et al., arXiv:2112.10752), with its original tensor names.

Residual blocks with group norm and SiLU (arXiv:1607.02974's layout as in arXiv:2006.11239), one
self-attention in the middle, KL-regularised latents (Kingma & Welling, arXiv:1312.6114).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.fused import Convolution, GroupNorm
from nodes.heap import freed
from nodes.models.vae_config import NORM_GROUPS, VaeConfig
from nodes.strips import Doubled, is_large

_NORM_EPS = 1e-6


class AutoencoderKL(nn.Module):
    """Encodes pictures [B, 3, H, W] in -1..1 to latents [B, 4, H/8, W/8], and decodes them.

    The ratio is ``config.factor``; sides must be multiples of it. Input is cast to the weights'
    dtype, and output has this dtype.
    """

    def __init__(self, config: VaeConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = Convolution(2 * config.inner_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = Convolution(config.latent_channels, config.inner_channels, 1)

    def moments(self, pictures: Tensor) -> Tensor:
        """Return mean and log-variance of the latents of ``pictures``, [B, 2 * 4, H/8, W/8]."""
        return self.quant_conv(self.encoder(self._prepared(pictures)))

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents to pictures, approximately in -1..1."""
        return self.decoder(self.post_quant_conv(self._prepared(latents)))

    def _prepared(self, x: Tensor) -> Tensor:
        weight = self.post_quant_conv.weight
        return x.to(weight.device, weight.dtype).contiguous(memory_format=torch.channels_last)


class Encoder(nn.Module):
    """Maps [B, 3, H, W] to [B, 2 * inner, H/8, W/8]."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        widths = config.encoder_widths
        self.conv_in = Convolution(config.image_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            Down(before, width, config.encoder_blocks, halve=width_index < len(widths) - 1)
            for width_index, (before, width) in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.mid = Middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = Convolution(widths[-1], 2 * config.inner_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for stage in _stages(self.down):
            x = stage(x)
        x = self.mid(x)
        return self.conv_out(self.norm_out(x, activated=True))


class Decoder(nn.Module):
    """Maps [B, inner, h, w] to [B, 3, 8h, 8w]. ``up`` is numbered from full resolution and runs from its end."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        widths = config.decoder_widths
        self.conv_in = Convolution(config.inner_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList(
            Up(before, width, config.decoder_blocks, double=level > 0)
            for level, (before, width) in enumerate(zip((*widths[1:], widths[-1]), widths, strict=True))
        )
        self.norm_out = _norm(widths[0])
        self.conv_out = Convolution(widths[0], config.image_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        # No caller keeps a stage's input: at full resolution, each map takes 128 MB or more in float32.
        for stage in _stages(reversed(self.up)):
            x = stage(x)
            freed(x.nbytes)
        return self.conv_out(self.norm_out(x, activated=True))


class Down(nn.Module):
    """One level of the encoder: residual blocks, then half the size except at the last level."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, halve: bool):
        super().__init__()
        self.block = _residual_blocks(in_channels, out_channels, blocks)
        self.downsample = Downsample(out_channels) if halve else None

    def stages(self) -> list[nn.Module]:
        return [*self.block, *([] if self.downsample is None else [self.downsample])]


class Up(nn.Module):
    """One level of the decoder: residual blocks, then twice the size except at the last level."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, double: bool):
        super().__init__()
        self.block = _residual_blocks(in_channels, out_channels, blocks)
        self.upsample = Upsample(out_channels) if double else None

    def stages(self) -> list[nn.Module]:
        return [*self.block, *([] if self.upsample is None else [self.upsample])]


class Middle(nn.Module):
    """Residual block, self-attention, residual block."""

    def __init__(self, channels: int):
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = PixelAttention(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3x3 convolution, twice, added to the input."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.norm1 = _norm(in_channels)
        self.conv1 = Convolution(in_channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels)
        self.conv2 = Convolution(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = Convolution(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(self.norm1(x, activated=True))
        plus = x if self.conv1.in_channels == self.conv1.out_channels else self.nin_shortcut(x, in_rows=True)
        return self.conv2(self.norm2(h, activated=True), plus=plus)


class TokenConvolution(nn.Conv2d):
    """A 1x1 convolution over tokens [..., h * w, C]: as a matrix product it avoids the convolution's memory layouts."""

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self.weight.flatten(1), self.bias)


class PixelAttention(nn.Module):
    """Self-attention with one head over all positions of a feature map [B, C, h, w], added to it."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = _norm(channels)
        self.q = TokenConvolution(channels, channels, 1)
        self.k = TokenConvolution(channels, channels, 1)
        self.v = TokenConvolution(channels, channels, 1)
        self.proj_out = TokenConvolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        tokens = _tokens(self.norm(x))
        query, key, value = (projection(tokens) for projection in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = self.proj_out(attended.squeeze(1))
        return x + attended.transpose(1, 2).unflatten(2, (height, width))


class Downsample(nn.Module):
    """Halves the size. Pads only at the right and the bottom."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Convolution(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles the size: repeats each position, then applies a 3x3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Convolution(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if is_large(x, scale=2):
            return self.conv(Doubled(x))
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _stages(levels: Iterable[Any]) -> Iterator[nn.Module]:
    """Yield the residual blocks and the change of size of each level, in the order of a call."""
    return chain.from_iterable(level.stages() for level in levels)


def _residual_blocks(in_channels: int, out_channels: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(
        ResidualBlock(in_channels if index == 0 else out_channels, out_channels) for index in range(count)
    )


def _norm(channels: int) -> GroupNorm:
    return GroupNorm(NORM_GROUPS, channels, eps=_NORM_EPS)


def _tokens(x: Tensor) -> Tensor:
    """Turn [B, C, h, w] into [B, 1, h * w, C]; a view if channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2).unsqueeze(1)
