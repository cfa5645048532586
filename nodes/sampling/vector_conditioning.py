"""The second condition of a network, next to the text: SDXL's sizes, unCLIP's image, the upscaler's noise class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nodes.models.vector_kinds import ImageVector, NoiseClass, SizeVector
from nodes.unet.timestep_embedding import timestep_embedding

if TYPE_CHECKING:
    from nodes.models.handle import Model

_AESTHETIC_SCORE = 6.0
_NEGATIVE_AESTHETIC_SCORE = 2.5
"""The aesthetic score that SDXL's refiner gets for the negative side."""


def vector(
    model: Model, options: Mapping[str, Any], latent_height: int, latent_width: int, negative: bool = False
) -> Tensor | None:
    """The vector ``y`` [1, width], or the class label [1], for a latent of that size; None if the model takes neither.

    ``options`` come from a conditioning entry. ``negative``: for the side that guidance moves away from.
    """
    width = model.config.adm_in_channels or 0
    match model.family.vector:
        case SizeVector() as kind:
            factor = model.latent.factor
            return size_vector(kind, options, width, latent_height * factor, latent_width * factor, negative)
        case ImageVector():
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
    """``y`` [1, width]: the pooled text, then an embedding for each of ``kind.numbers`` (arXiv:2307.01952).

    Sizes that ``options`` do not give are the picture's, in pixels. SDXL's base model takes the original size, the
    corner of the crop and the target size; its refiner an aesthetic score in place of the target size.
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
