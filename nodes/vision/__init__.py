"""CLIP's image encoders, which map pictures to embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.models.networks import register_network
from nodes.models.vision_config import VisionConfig

if TYPE_CHECKING:
    from nodes.vision.clip import ClipVision


def image_encoder(config: VisionConfig) -> ClipVision:
    from nodes.vision.clip import ClipVision

    return ClipVision(config)


register_network(VisionConfig, image_encoder)
