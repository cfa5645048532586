"""Help texts of the nodes of the VAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "VAEDecode": {
        "samples": "The latent to decode to a picture.",
    },
    "VAEDecodeTiled": {
        "samples": "The latent to decode to a picture.",
        "tile_size": "Side of a tile in pixels. Smaller needs less memory.",
    },
    "VAEEncodeTiled": {
        "tile_size": "Side of a tile in pixels. Smaller needs less memory.",
    },
    "VAEEncodeForInpaint": {
        "mask": "The area to repaint: white.",
        "grow_mask_by": "Pixels to grow the mask by, so that the seam disappears.",
    },
}
