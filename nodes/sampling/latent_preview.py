"""A quick look at a latent: a linear map to colours instead of the VAE."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from graph.context import PreviewImage

if TYPE_CHECKING:
    from nodes.models.handle import Model

_ENLARGEMENT = 8
_LARGEST_SIDE = 512
_JPEG_QUALITY = 90

# Least-squares fits of decoded pictures to scaled latents; rows are latent channels, columns red, green and
# blue in -1..1. From InvokeAI (Apache-2.0), by @keturn, @torridgristle (SD1) and @StAlKeR7779 (SDXL).
SD_FACTORS: Final = (
    (0.3444, 0.1385, 0.0670),
    (0.1247, 0.4027, 0.1494),
    (-0.3192, 0.2513, 0.2103),
    (-0.1307, -0.1874, -0.7445),
)
SDXL_FACTORS: Final = (
    (0.3816, 0.4930, 0.5320),
    (-0.3753, 0.1631, 0.1739),
    (0.1770, 0.3588, -0.2048),
    (-0.4350, -0.2644, -0.4289),
)
_SDXL_LATENT_SCALE = 0.13025


def factors_for(model: Model) -> Tensor:
    """Colours [4, 3] of the latent channels of the model's family."""
    return torch.tensor(SDXL_FACTORS if model.latent_scale == _SDXL_LATENT_SCALE else SD_FACTORS)


def latent_to_rgb(latent: Tensor, factors: Tensor) -> Tensor:
    """A scaled latent [4, h, w] as colours [h, w, 3], uint8."""
    rgb = latent.float().cpu().movedim(0, -1) @ factors
    return ((rgb + 1) * 127.5).clamp(0, 255).byte()


def preview(latents: Tensor, factors: Tensor) -> PreviewImage:
    """The first of scaled latents [B, 4, h, w] as a JPEG, 8 times as large, 512 pixels at most."""
    from PIL import Image

    image = Image.fromarray(latent_to_rgb(latents[0], factors).numpy())
    enlargement = min(_ENLARGEMENT, _LARGEST_SIDE / max(image.size))
    width, height = (max(1, round(side * enlargement)) for side in image.size)
    stream = io.BytesIO()
    image.resize((width, height), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return PreviewImage("JPEG", stream.getvalue())
