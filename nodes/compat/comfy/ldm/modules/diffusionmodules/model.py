"""``comfy.ldm.modules.diffusionmodules.model``: the autoencoder's parts, for packs that identify them by class."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nodes.silu import silu
from nodes.vae.autoencoder import Decoder, Downsample, Encoder, PixelAttention, Upsample
from nodes.vae.autoencoder import ResidualBlock as ResnetBlock

AttnBlock = PixelAttention

__all__ = [
    "AttnBlock",
    "Decoder",
    "Downsample",
    "Encoder",
    "Normalize",
    "ResnetBlock",
    "Upsample",
    "get_timestep_embedding",
    "nonlinearity",
]


def Normalize(in_channels: int, num_groups: int = 32, **_: Any) -> nn.GroupNorm:
    """Group norm as autoencoders have it."""
    return nn.GroupNorm(num_groups, in_channels, eps=1e-6)


def nonlinearity(x: Tensor) -> Tensor:
    """SiLU."""
    return silu(x)


def get_timestep_embedding(timesteps: Tensor, embedding_dim: int) -> Tensor:
    """[B] timesteps as sinusoids [B, ``embedding_dim``]: sines, then cosines, the last of period 2π · 10,000 (DDPM)."""
    half = embedding_dim // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(10_000) / (half - 1)))
    angles = timesteps.float()[:, None] * rates.to(timesteps.device)
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, embedding_dim % 2))
