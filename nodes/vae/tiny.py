"""TAESD, a tiny autoencoder for fast previews (MIT, https://github.com/madebyollin/taesd)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.models.tiny_config import TinyConfig, layers
from nodes.models.vae_config import VaeConfig

_CERTAIN = -30.0
"""The log-variance for latents without noise."""


class TinyHalf(nn.Sequential):
    """The encoder, [B, 3, H, W] in 0..1 to latents, or the decoder back; named by number as in its files."""

    def __init__(self, config: TinyConfig):
        super().__init__(*(_layer(*layer) for layer in layers(config)))
        self.config = config


class Block(nn.Module):
    """Three convolutions with a shortcut."""

    def __init__(self, width: int):
        super().__init__()
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), convolutions[2])

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class Clamp(nn.Module):
    """Soft bounds of a latent: 3·tanh(x/3)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class TinyAutoencoder(nn.Module):
    """Both halves, with the interface of :class:`nodes.vae.autoencoder.AutoencoderKL`.

    ``scale`` and ``shift`` convert unscaled latents to those of the diffusion model, which the halves use.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, config: VaeConfig, scale: float, shift: float):
        super().__init__()
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self._scale, self._shift = scale, shift

    def moments(self, pictures: Tensor) -> Tensor:
        """Mean and log-variance of the latents of ``pictures`` in -1..1, [B, 2 * 4, H/8, W/8]."""
        latents = self.encoder((self._placed(pictures) + 1) / 2) / self._scale + self._shift
        return torch.cat([latents, torch.full_like(latents, _CERTAIN)], dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """Unscaled latents to pictures, roughly in -1..1."""
        return self.decoder(self._placed((latents - self._shift) * self._scale)) * 2 - 1

    def _placed(self, x: Tensor) -> Tensor:
        return x.to(next(self.decoder.parameters()))


def _layer(kind: str, inner: int, outer: int) -> nn.Module:
    match kind:
        case "block":
            return Block(outer)
        case "clamp":
            return Clamp()
        case "relu":
            return nn.ReLU()
        case "double":
            return nn.Upsample(scale_factor=2)
    return nn.Conv2d(inner, outer, 3, padding=1, stride=2 if kind == "halve" else 1, bias=kind == "conv")
