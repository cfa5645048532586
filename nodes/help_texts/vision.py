"""Help texts of the nodes of image encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "CLIPVisionLoader": {
        "clip_name": "The image encoder's file in models/clip_vision.",
    },
    "CLIPVisionEncode": {
        "image": "The picture whose content or style is used.",
        "crop": "Use the square in the middle, or squeeze the whole picture into a square.",
        "clip_vision": "The image encoder.",
    },
}
