"""Latent operations: changes that nodes pass on as values, to apply once or at every step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nodes import gaussian


@dataclass(frozen=True)
class TonemapReinhard:
    """Compresses the lengths of latent vectors: E. Reinhard et al., "Photographic Tone
    Reproduction for Digital Images", SIGGRAPH 2002, with ``multiplier`` × (mean + 5 deviations)
    as the scale."""

    multiplier: float

    def __call__(self, latent: torch.Tensor) -> torch.Tensor:
        """Compress [B, C, H, W]; shape and directions stay the same."""
        length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-10
        axes = tuple(range(1, latent.ndim))
        spread = 5.0 * length.std(dim=axes, keepdim=True) + length.mean(dim=axes, keepdim=True)
        top = spread * self.multiplier
        return latent / length * (length / (length + top)) * top


@dataclass(frozen=True)
class Sharpen:
    """Sharpens the directions of latent vectors without changing their lengths."""

    radius: int
    sigma: float
    alpha: float

    def __call__(self, latent: torch.Tensor) -> torch.Tensor:
        """Sharpen [B, C, H, W]; the shape stays the same. Raises SizeError if the radius is too large."""
        length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-6
        weights = gaussian.sharpening_kernel(self.radius, self.sigma, self.alpha)
        return gaussian.convolve(latent / length, weights) * length
