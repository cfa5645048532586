"""Sinusoidal embedding of numbers: diffusion timesteps, and SDXL's sizes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_PERIOD = 10_000


def timestep_embedding(timesteps: Tensor, width: int) -> Tensor:
    """Embed [B] numbers as [B, width] float32: cosines, then sines, with geometrically falling frequencies.

    Vaswani et al., arXiv:1706.03762, in the order of LDM's U-Net. An odd width ends in a zero.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    angles = timesteps.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) / half * steps)
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return torch.nn.functional.pad(embedding, (0, width % 2))
