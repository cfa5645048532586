"""A diffusion model's latent space: how its latents are computed from the VAE's latents.

This is plain data; the functions take tensors, but the module does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class PreviewFactors:
    """A linear map from scaled latents to colours, used instead of the VAE for previews.

    ``channels`` holds a row of red, green and blue in -1..1 for each latent channel; ``bias`` is added.
    """

    channels: tuple[Rgb, ...]
    bias: Rgb = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class LatentSpace:
    """Scaling and shape of a family's latents.

    ``scaled = (latent - shift) * scale``. Families with ``mean`` and ``std``, one number for each channel, use
    ``(latent - mean) * scale / std`` instead. ``factor`` is the number of pixels per latent pixel along each side.
    ``taesd`` names the tiny autoencoder that can preview these latents; None if there is none.
    """

    scale: float = 0.18215
    shift: float = 0.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: int = 4
    factor: int = 8
    preview: PreviewFactors | None = None
    taesd: str | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ValueError("a latent space has both a mean and a standard deviation for each channel, or neither")

    def scaled_in(self, latent: Tensor) -> Tensor:
        """Scale ``latent`` [B, C, h, w] from the VAE for the diffusion model."""
        if self.mean is None or self.std is None:
            return (latent - self.shift) * self.scale if self.shift else latent * self.scale
        return (latent - _by_channel(self.mean, latent)) * (self.scale / _by_channel(self.std, latent))

    def scaled_out(self, latent: Tensor) -> Tensor:
        """Scale ``latent`` [B, C, h, w] from the diffusion model for the VAE."""
        if self.mean is None or self.std is None:
            return latent / self.scale + self.shift if self.shift else latent / self.scale
        return latent * (_by_channel(self.std, latent) / self.scale) + _by_channel(self.mean, latent)


def _by_channel(numbers: Sequence[float], latent: Tensor) -> Tensor:
    """Return ``numbers`` in a shape that broadcasts over [B, C, …]."""
    return latent.new_tensor(numbers).view(1, -1, *[1] * (latent.ndim - 2))


# Least-squares fits of decoded pictures to scaled latents. The first two are from InvokeAI (Apache-2.0), by @keturn,
# @torridgristle (SD) and @StAlKeR7779 (SDXL).
_SD_PREVIEW: Final = PreviewFactors(
    (
        (0.3444, 0.1385, 0.0670),
        (0.1247, 0.4027, 0.1494),
        (-0.3192, 0.2513, 0.2103),
        (-0.1307, -0.1874, -0.7445),
    )
)
_SDXL_PREVIEW: Final = PreviewFactors(
    (
        (0.3816, 0.4930, 0.5320),
        (-0.3753, 0.1631, 0.1739),
        (0.1770, 0.3588, -0.2048),
        (-0.4350, -0.2644, -0.4289),
    )
)
# Fitted to 48 of the embedded model's own pictures; explains 92 % of their variance.
_EMBEDDED_PREVIEW: Final = PreviewFactors(
    (
        (-0.0678, 0.1175, -0.1033),
        (0.0110, -0.2079, -0.2462),
        (-0.3061, -0.3189, -0.5013),
        (0.3559, -0.0336, -0.3426),
    ),
    bias=(0.5572, 0.3860, 0.2687),
)

SD_LATENTS: Final = LatentSpace(preview=_SD_PREVIEW, taesd="taesd")
"""SD1 and SD2 share one autoencoder."""
EMBEDDED_LATENTS: Final = LatentSpace(preview=_EMBEDDED_PREVIEW)
"""The embedded model has its own autoencoder."""
SDXL_LATENTS: Final = LatentSpace(scale=0.13025, preview=_SDXL_PREVIEW, taesd="taesdxl")
"""SDXL and its refiner share one autoencoder."""
UPSCALER_LATENTS: Final = LatentSpace(scale=0.08333, factor=4)
"""The SD2 4× upscaler's autoencoder reduces the sides to a quarter. No preview factors are published for it."""


def normalized(space: LatentSpace, mean: Sequence[float], std: Sequence[float], scale: float) -> LatentSpace:
    """Return the space of the same autoencoder with latents normalized by ``mean`` and ``std`` of each channel.

    Playground 2.5 (arXiv:2402.17245) uses this with SDXL's autoencoder and a scale of 0.5. The preview factors are
    converted, since colours depend on the autoencoder's latents alone.
    """
    preview = None
    if space.preview is not None:
        rows = space.preview.channels
        stretch = [space.scale * deviation / scale for deviation in std]
        moved = [space.scale * (centre - space.shift) for centre in mean]
        preview = PreviewFactors(
            tuple(_rgb(factor * by for factor in row) for row, by in zip(rows, stretch, strict=True)),
            _rgb(
                space.preview.bias[colour] + sum(row[colour] * by for row, by in zip(rows, moved, strict=True))
                for colour in range(3)
            ),
        )
    return LatentSpace(
        scale=scale,
        mean=tuple(mean),
        std=tuple(std),
        channels=space.channels,
        factor=space.factor,
        preview=preview,
        taesd=space.taesd,
    )


def _rgb(colours: Iterable[float]) -> Rgb:
    red, green, blue = colours
    return (red, green, blue)


PLAYGROUND_LATENTS: Final = normalized(
    SDXL_LATENTS, mean=(-1.6574, 1.886, -1.383, 2.5155), std=(8.4927, 5.9022, 6.5498, 5.2299), scale=0.5
)
"""Playground 2.5 uses SDXL's autoencoder and normalizes its latents with the numbers of its published configuration."""
