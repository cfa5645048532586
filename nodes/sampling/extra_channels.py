"""Extra input channels of a network, after the latent's: inpainting, InstructPix2Pix and upscaling models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.batches import spread_to
from nodes.resize import resize
from nodes.sampling.image_vector import augmentation_noise

if TYPE_CHECKING:
    from nodes.models.handle import Model

_GREY: Final = (0.8223, -0.6876, 0.6364, 0.1380)
"""The scaled SD latent of a mid-grey picture, which inpainting models get if everything is regenerated."""
_NOISE_CLASSES: Final = 1000
_NOISE_START, _NOISE_END = 0.0001, 0.02
"""The betas of the noise in the input picture of the SD2 4× upscaler."""


class MissingChannelsError(SumiError):
    """A model's extra input channels are empty. The message names the model, the channels and their content."""


def extra_channels(
    model: Model, options: Mapping[str, Any], latent: Tensor, mask: Tensor | None, seed: int
) -> Tensor | None:
    """Return an entry's extra channels [1 or B, count, h, w] for a scaled latent [B, C, h, w] and the run's mask.

    ``options`` are the entry's: ``concat_latent_image`` [b, C, h, w], unscaled, and ``concat_mask`` of any size, 1
    where to paint; ``concat_image`` [b, 3, h, w], -1..1, and ``noise_augmentation``, 0..1. ``mask`` [B, C, h, w] is 1
    where the run paints. Inpainting models without a picture use the run's latent; without a mask they
    paint everything. Returns None if the model has no extra channels or the options do not fill them.
    """
    kind = None if model.family.extra is None else model.family.extra.kind
    picture = options.get("concat_latent_image")
    if kind == "inpainting":
        known = latent if picture is None else model.latent.scaled_in(_fitting(picture.to(latent), latent))
        own_mask = options.get("concat_mask")
        holes = mask if own_mask is None else own_mask.to(latent)
        if holes is None:
            blank = latent.new_tensor(_GREY).view(1, -1, 1, 1).expand_as(latent)
            return torch.cat([torch.ones_like(latent[:, :1]), blank], dim=1)
        return torch.cat([_fitting_mask(holes, latent), known], dim=1)
    if kind == "edit":
        return torch.zeros_like(latent) if picture is None else _fitting(picture.to(latent), latent)
    if kind == "enlargement" and options.get("concat_image") is not None:
        return _noised(_fitting(options["concat_image"].to(latent), latent), model, options, seed)
    return None


def check_input_channels(model: Model, channels: int) -> None:
    """Raise MissingChannelsError unless ``model`` takes ``channels`` channels, including extra ones."""
    extra = model.family.extra
    expected = model.config.in_channels
    if channels == expected or extra is None:
        return
    raise MissingChannelsError(
        f"{model.weights.path.name} ({model.family.label}) takes {expected} input channels: the latent's "
        f"{expected - extra.count} and {extra.count} for {extra.what}, but got {channels}. "
        "The conditioning must supply them."
    )


def _fitting(picture: Tensor, latent: Tensor) -> Tensor:
    """Resize and repeat ``picture`` [b, C, h, w] to the size and the batch of ``latent``."""
    height, width = latent.shape[-2:]
    return spread_to(resize(picture, width, height, "bilinear", "center"), len(latent))


def _fitting_mask(mask: Tensor, latent: Tensor) -> Tensor:
    """Convert a mask [b, h, w] or [b, c, h, w] to zeros and ones [B, 1, h, w] with ``latent``'s size and batch."""
    mask = mask[:, :1] if mask.ndim == latent.ndim else mask
    height, width = latent.shape[-2:]
    return spread_to(resize(mask.reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear").round(), len(latent))


def _noised(picture: Tensor, model: Model, options: Mapping[str, Any], seed: int) -> Tensor:
    """Add noise to the picture to enlarge, of the level in the entry's options."""
    from nodes.models.vector_kinds import NoiseClass

    augmentation = options.get("noise_augmentation", 0.0)
    kind = model.family.vector
    if augmentation <= 0 or not isinstance(kind, NoiseClass):
        return picture
    kept = _alpha_bars()[round(kind.largest * augmentation)]
    noise = augmentation_noise(picture.shape, seed).to(picture)
    return kept.sqrt().float() * picture + (1 - kept).sqrt().float() * noise


@cache
def _alpha_bars() -> Tensor:
    betas = torch.linspace(_NOISE_START**0.5, _NOISE_END**0.5, _NOISE_CLASSES, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)
