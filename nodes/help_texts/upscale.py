"""Help texts of the nodes that enlarge with a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "UpscaleModelLoader": {
        "model_name": "The upscale model's file in models/upscale_models.",
    },
    "ImageUpscaleWithModel": {
        "upscale_model": "The network that enlarges.",
    },
}
