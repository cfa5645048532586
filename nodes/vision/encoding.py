"""Encodes pictures with CLIP."""

from __future__ import annotations

import torch
from torch import Tensor

from graph.context import current
from nodes.vision.handle import ClipVision, ClipVisionOutput
from nodes.vision.pictures import normalized


@torch.no_grad()
def encode_pictures(vision: ClipVision, pictures: Tensor, crop: bool = True) -> ClipVisionOutput:
    """Return the embeddings of pictures [B, H, W, C], 0..1. They are encoded one at a time, to save memory.

    ``crop``: cut to a centred square; otherwise the picture is squeezed. Raises CheckpointError like the handle's
    network.
    """
    network = vision.network()
    device = next(network.parameters()).device
    parts = []
    for number, picture in enumerate(pictures.split(1)):
        if (context := current()) is not None and len(pictures) > 1:
            context.progress(number, len(pictures))
        encoded = network(normalized(picture.to(device), vision.config.image_size, crop))
        parts.append([tensor.float().cpu() for tensor in encoded])
    last, penultimate, embedding = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return ClipVisionOutput(last, penultimate, embedding)
