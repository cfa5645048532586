"""Previews of latents: by a linear map to colours, or by a tiny autoencoder (``--preview-method taesd``)."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from graph.context import Context, PreviewImage
from nodes import previews
from nodes.models.handle import TinyVae
from nodes.models.latent_space import LatentSpace
from nodes.models.tiny_files import FOLDER, half_files, tiny_vae

log = logging.getLogger(__name__)

_ENLARGEMENT = 8
_LARGEST_SIDE = 512
_JPEG_QUALITY = 90


def factors_for(space: LatentSpace) -> Tensor | None:
    """Colour of each channel of a scaled latent, then the bias, [C + 1, 3]; None without preview factors."""
    return None if space.preview is None else torch.tensor([*space.preview.channels, space.preview.bias])


def latent_to_rgb(latent: Tensor, factors: Tensor) -> Tensor:
    """Convert a scaled latent [C, h, w] to colours [h, w, 3], uint8."""
    rgb = latent.float().cpu().movedim(0, -1) @ factors[:-1] + factors[-1]
    return ((rgb + 1) * 127.5).clamp(0, 255).byte()


def previewer_for(space: LatentSpace, context: Context) -> Callable[[Tensor], PreviewImage] | None:
    """Return the function that makes a preview of scaled latents [B, C, h, w]; None without preview factors.

    A tiny autoencoder is used if it is chosen and its files are there; if they are missing, the log says so once.
    """
    if previews.uses_tiny_autoencoders() and space.taesd is not None:
        folders = context.folders
        if half_files(space.taesd, folders) is not None:
            return partial(preview_by_tiny, vae=tiny_vae(space.taesd, folders), space=space)
        _warn_of_missing_files(space.taesd)
    factors = factors_for(space)
    return None if factors is None else partial(preview, factors=factors)


@cache
def _warn_of_missing_files(name: str) -> None:
    log.warning(
        "--preview-method taesd: put %s_encoder and %s_decoder into models/%s; until then previews are approximate",
        name,
        name,
        FOLDER,
    )


def preview(latents: Tensor, factors: Tensor) -> PreviewImage:
    """Return the first of scaled latents [B, C, h, w] as a JPEG, enlarged 8 times, at most 512 pixels."""
    from PIL import Image

    return _jpeg(Image.fromarray(latent_to_rgb(latents[0], factors).numpy()), _ENLARGEMENT)


@torch.no_grad()
def preview_by_tiny(latents: Tensor, vae: TinyVae, space: LatentSpace) -> PreviewImage:
    """Return the first of scaled latents [B, C, h, w] decoded by a tiny autoencoder, as a JPEG, at most 512 pixels."""
    from nodes.pictures.pixels import to_pillow
    from nodes.vae import coding
    from nodes.vae.network import autoencoder

    return _jpeg(to_pillow(coding.decode(autoencoder(vae), space.scaled_out(latents[:1].float()))[0]), 1)


def _jpeg(image: Any, enlargement: float) -> PreviewImage:
    """Encode a Pillow image, enlarged, with sides of at most 512 pixels."""
    from PIL import Image

    factor = min(enlargement, _LARGEST_SIDE / max(image.size))
    width, height = (max(1, round(side * factor)) for side in image.size)
    stream = io.BytesIO()
    image.resize((width, height), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return PreviewImage("JPEG", stream.getvalue())
