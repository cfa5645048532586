"""The condition of a family's network in addition to the text: a vector, or a class label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class SizeVector:
    """The pooled text, followed by embeddings of numbers (Podell et al., arXiv:2307.01952, section 2.2).

    ``numbers`` are their names in a CONDITIONING entry's options, in order; each embedding is ``number_width`` wide.
    """

    numbers: tuple[str, ...]
    number_width: int = 256


@dataclass(frozen=True)
class ImageVector:
    """An image's CLIP embedding, then an equally wide embedding of its noise level (arXiv:2204.06125)."""


@dataclass(frozen=True)
class NoiseClass:
    """The noise level of the picture to enlarge, as a class label from 0 to ``largest``."""

    largest: int = 350


VectorKind = SizeVector | ImageVector | NoiseClass

SDXL_SIZES: Final = SizeVector(("height", "width", "crop_h", "crop_w", "target_height", "target_width"))
REFINER_SIZES: Final = SizeVector(("height", "width", "crop_h", "crop_w", "aesthetic_score"))
