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

# Least-squares fits of decoded pictures to scaled latents: a row of red, green and blue in -1..1 for each latent
# channel, and a last one that is added. The first two are from InvokeAI (Apache-2.0), by @keturn, @torridgristle
# (SD) and @StAlKeR7779 (SDXL).
SD_FACTORS: Final = (
    (0.3444, 0.1385, 0.0670),
    (0.1247, 0.4027, 0.1494),
    (-0.3192, 0.2513, 0.2103),
    (-0.1307, -0.1874, -0.7445),
    (0.0, 0.0, 0.0),
)
SDXL_FACTORS: Final = (
    (0.3816, 0.4930, 0.5320),
    (-0.3753, 0.1631, 0.1739),
    (0.1770, 0.3588, -0.2048),
    (-0.4350, -0.2644, -0.4289),
    (0.0, 0.0, 0.0),
)
# Over 48 of the embedded model's own pictures; explains 92 % of their variance.
EMBEDDED_MODEL_FACTORS: Final = (
    (-0.0678, 0.1175, -0.1033),
    (0.0110, -0.2079, -0.2462),
    (-0.3061, -0.3189, -0.5013),
    (0.3559, -0.0336, -0.3426),
    (0.5572, 0.3860, 0.2687),
)
_SDXL_LATENT_SCALE = 0.13025
_SD_CONTEXT_WIDTHS = (768, 1024)


def factors_for(model: Model) -> Tensor:
    """Colours [5, 3] of the latent channels of the model's family, and the constant added to them.

    All of SD1 and SD2 share one autoencoder, all of SDXL another. A model that is smaller than
    they are has one of its own: it is taken to be the embedded model's.
    """
    if model.latent_scale == _SDXL_LATENT_SCALE:
        return torch.tensor(SDXL_FACTORS)
    return torch.tensor(SD_FACTORS if model.config.context_width in _SD_CONTEXT_WIDTHS else EMBEDDED_MODEL_FACTORS)


def latent_to_rgb(latent: Tensor, factors: Tensor) -> Tensor:
    """A scaled latent [4, h, w] as colours [h, w, 3], uint8."""
    rgb = latent.float().cpu().movedim(0, -1) @ factors[:-1] + factors[-1]
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
