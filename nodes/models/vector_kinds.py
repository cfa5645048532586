"""The second condition of a family's network, next to the text: a vector, or a class label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class SizeVector:
    """The pooled text, then an embedding of each of some numbers (Podell et al., arXiv:2307.01952, section 2.2).

    ``numbers`` are named as in a CONDITIONING entry's options, in order; each embedding is ``number_width`` wide.
    """

    numbers: tuple[str, ...]
    number_width: int = 256


@dataclass(frozen=True)
class ImageVector:
    """An image's CLIP embedding, then the embedding of the level of the noise in it, as wide (arXiv:2204.06125)."""


@dataclass(frozen=True)
class NoiseClass:
    """The level of the noise in the picture that is enlarged, as a class label from 0 to ``largest``."""

    largest: int = 350


VectorKind = SizeVector | ImageVector | NoiseClass

SDXL_SIZES: Final = SizeVector(("height", "width", "crop_h", "crop_w", "target_height", "target_width"))
REFINER_SIZES: Final = SizeVector(("height", "width", "crop_h", "crop_w", "aesthetic_score"))
