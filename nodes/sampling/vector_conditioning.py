"""The condition of a network in addition to the text: SDXL's sizes, unCLIP's image, the upscaler's noise class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nodes.models.vector_kinds import ImageVector, NoiseClass, SizeVector
from nodes.sampling.image_vector import image_vector
from nodes.unet.timestep_embedding import timestep_embedding

if TYPE_CHECKING:
    from nodes.models.handle import Model

_MERGE_NOISE = "unclip_noise_augment_merge"
"""The option with the amount of noise for the sum of several pictures."""
_AESTHETIC_SCORE = 6.0
_NEGATIVE_AESTHETIC_SCORE = 2.5
"""The aesthetic score of the negative side for SDXL's refiner."""


def vector(
    model: Model,
    options: Mapping[str, Any],
    latent_height: int,
    latent_width: int,
    negative: bool = False,
    seed: int = 0,
) -> Tensor | None:
    """Return the vector ``y`` [1, width] or class label [1] for a latent of that size; None if the model has neither.

    ``options`` come from a conditioning entry. ``negative``: for the side that guidance moves away from. ``seed`` is
    the run's, for noise in pictures' embeddings. Raises PictureEmbeddingError if such an embedding does not fit.
    """
    width = model.config.adm_in_channels or 0
    pictures = options.get("unclip_conditioning")
    match model.family.vector:
        case SizeVector() as kind:
            factor = model.latent.factor
            if pictures:
                pooled = width - len(kind.numbers) * kind.number_width
                embedding = image_vector(pictures, pooled, seed, options.get(_MERGE_NOISE, 0.0), model.family.label)
                options = {**options, "pooled_output": embedding[:, :pooled]}
            return size_vector(kind, options, width, latent_height * factor, latent_width * factor, negative)
        case ImageVector():
            if pictures:
                return image_vector(pictures, width // 2, seed, options.get(_MERGE_NOISE, 0.05), model.family.label)
            return torch.zeros(1, width)
        case NoiseClass(largest):
            return torch.tensor([round(largest * options.get("noise_augmentation", 0.0))])
        case None:
            return None


def size_vector(
    kind: SizeVector,
    options: Mapping[str, Any],
    width: int,
    picture_height: int,
    picture_width: int,
    negative: bool = False,
) -> Tensor:
    """Return ``y`` [1, width]: the pooled text, then an embedding for each of ``kind.numbers`` (arXiv:2307.01952).

    Sizes missing in ``options`` are the picture's, in pixels. SDXL's base model takes the original size, the
    corner of the crop and the target size; its refiner takes an aesthetic score instead of the target size.
    """
    height, breadth = options.get("height", picture_height), options.get("width", picture_width)
    usual = {
        "height": height,
        "width": breadth,
        "crop_h": 0,
        "crop_w": 0,
        "target_height": height,
        "target_width": breadth,
        "aesthetic_score": _NEGATIVE_AESTHETIC_SCORE if negative else _AESTHETIC_SCORE,
    }
    numbers = torch.tensor([float(options.get(name, usual[name])) for name in kind.numbers])
    sizes = timestep_embedding(numbers, kind.number_width).flatten()[None]
    pooled = options.get("pooled_output")
    if pooled is None:
        pooled = torch.zeros(1, width - sizes.shape[1])
    return torch.cat([pooled.float().cpu(), sizes], dim=1)
