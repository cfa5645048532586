"""CLIP's image encoder (arXiv:2103.00020): a vision transformer (arXiv:2010.11929).

Parameters are named as in transformers' CLIPVisionModelWithProjection.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nodes.clip_layer import ClipLayer
from nodes.models.vision_config import VisionConfig


class EncodedPictures(NamedTuple):
    """``last`` and ``penultimate`` [B, 1 + patches, width] are the outputs of the last two layers, without final norm.

    ``embedding`` [B, projection]: the class token of the last layer, normed and projected.
    """

    last: Tensor
    penultimate: Tensor
    embedding: Tensor


class ClipVision(nn.Module):
    """The image encoder of CLIP and OpenCLIP, in any size."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.config = config
        self.vision_model = Transformer(config)
        self.visual_projection = nn.Linear(config.width, config.projection, bias=False)

    def forward(self, pictures: Tensor) -> EncodedPictures:
        """Encode normalized pictures [B, 3, image_size, image_size]."""
        last, penultimate, pooled = self.vision_model(pictures)
        return EncodedPictures(last, penultimate, self.visual_projection(pooled))


class Transformer(nn.Module):
    def __init__(self, config: VisionConfig):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width)  # misspelt in transformers
        self.encoder = Layers(config)
        self.post_layernorm = nn.LayerNorm(config.width)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of the last layer and of the one before, and the class token after the final norm."""
        last, penultimate = self.encoder(self.pre_layrnorm(self.embeddings(pictures)))
        return last, penultimate, self.post_layernorm(last[:, 0])


class Embeddings(nn.Module):
    def __init__(self, config: VisionConfig):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch_size, config.patch_size, bias=False)
        self.position_embedding = nn.Embedding(config.positions, config.width)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embedding(pictures.to(self.class_embedding.dtype)).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(patches), 1, -1)
        tokens = torch.cat([first, patches], dim=1)
        return tokens + self.position_embedding(torch.arange(tokens.shape[1], device=tokens.device))


class Layers(nn.Module):
    def __init__(self, config: VisionConfig):
        super().__init__()
        self.layers = nn.ModuleList(
            ClipLayer(config.width, config.heads, config.mlp, config.activation) for _ in range(config.layers)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of the last layer and of the one before."""
        before = x
        for layer in self.layers:
            before, x = x, layer(x)
        return x, before
