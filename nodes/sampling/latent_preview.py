"""A quick look at a latent: a linear map to colours instead of the VAE."""

from __future__ import annotations

import io

import torch
from torch import Tensor

from graph.context import PreviewImage
from nodes.models.latent_space import LatentSpace

_ENLARGEMENT = 8
_LARGEST_SIDE = 512
_JPEG_QUALITY = 90


def factors_for(space: LatentSpace) -> Tensor | None:
    """Colours [C + 1, 3] of a scaled latent's channels and, last, what is added; None if none are known."""
    return None if space.preview is None else torch.tensor([*space.preview.channels, space.preview.bias])


def latent_to_rgb(latent: Tensor, factors: Tensor) -> Tensor:
    """A scaled latent [C, h, w] as colours [h, w, 3], uint8."""
    rgb = latent.float().cpu().movedim(0, -1) @ factors[:-1] + factors[-1]
    return ((rgb + 1) * 127.5).clamp(0, 255).byte()


def preview(latents: Tensor, factors: Tensor) -> PreviewImage:
    """The first of scaled latents [B, C, h, w] as a JPEG, 8 times as large, 512 pixels at most."""
    from PIL import Image

    image = Image.fromarray(latent_to_rgb(latents[0], factors).numpy())
    enlargement = min(_ENLARGEMENT, _LARGEST_SIDE / max(image.size))
    width, height = (max(1, round(side * enlargement)) for side in image.size)
    stream = io.BytesIO()
    image.resize((width, height), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return PreviewImage("JPEG", stream.getvalue())
