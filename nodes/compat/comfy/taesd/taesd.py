"""``comfy.taesd.taesd``: a tiny autoencoder for quick looks, from its two files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from nodes.models.checkpoint import Checkpoint
from nodes.models.tiny_config import TinyConfig
from nodes.vae.tiny import Block, Clamp, TinyHalf

__all__ = ["TAESD", "Block", "Clamp", "Decoder", "Encoder"]


def Encoder(latent_channels: int = 4) -> nn.Module:
    """Return the encoder: [B, 3, H, W] in 0..1 to latents of the diffusion model's scale."""
    return TinyHalf(TinyConfig("encoder", latent_channels))


def Decoder(latent_channels: int = 4) -> nn.Module:
    """Return the decoder: latents of the diffusion model's scale to [B, 3, H, W] in 0..1."""
    return TinyHalf(TinyConfig("decoder", latent_channels))


class TAESD(nn.Module):
    """Both halves. ``vae_scale`` and ``vae_shift`` turn unscaled latents into the diffusion model's."""

    def __init__(self, encoder_path: str | None = None, decoder_path: str | None = None, latent_channels: int = 4):
        super().__init__()
        self.taesd_encoder = _half("encoder", encoder_path, latent_channels)
        self.taesd_decoder = _half("decoder", decoder_path, latent_channels)
        self.vae_scale = nn.Parameter(torch.tensor(1.0))
        self.vae_shift = nn.Parameter(torch.tensor(0.0))

    def decode(self, x: Tensor) -> Tensor:
        """Latents to pictures [B, 3, H, W], roughly in -1..1."""
        decoded: Tensor = self.taesd_decoder((x - self.vae_shift) * self.vae_scale)
        return decoded * 2 - 1

    def encode(self, x: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in -1..1 to latents."""
        latents: Tensor = self.taesd_encoder(x * 0.5 + 0.5) / self.vae_scale + self.vae_shift
        return latents


def _half(half: Literal["encoder", "decoder"], path: str | None, latent_channels: int) -> nn.Module:
    made = TinyHalf(TinyConfig(half, latent_channels))
    if path is not None:
        checkpoint = Checkpoint.open(Path(path))
        made.load_state_dict({name: checkpoint.tensor(name).float() for name in checkpoint.shapes})
    return made
