"""The part of a union ControlNet that distinguishes types of control (xinsir's ControlNet++, Apache-2.0).

One network serves several types of control: an embedding of the type is added to the timestep's, and a small
transformer shifts the picture's features depending on the type. ``transformer_layes`` is the files' spelling.
The transformer attends across the pictures and the latent of one item, as in ComfyUI. In diffusers 0.42 and the
original repository it attends across the items of a batch, which makes a picture depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nodes.control.controlnet_config import TYPE_EMBEDDING_WIDTH, UnionConfig
from nodes.control.residual_attention import ResidualAttention
from nodes.fused import Linear
from nodes.models.unet_config import UNetConfig
from nodes.silu import silu
from nodes.unet.timestep_embedding import timestep_embedding


def build_union(module: Any, config: UnionConfig, unet: UNetConfig) -> None:
    """Add the parts of a union ControlNet to ``module``."""
    width, embedding_width = unet.model_channels, unet.embedding_width
    module.task_embedding = nn.Embedding(config.types, width)
    module.transformer_layes = nn.ModuleList(ResidualAttention(width, config.heads) for _ in range(config.layers))
    module.spatial_ch_projs = Linear(width, width)
    module.control_add_embedding = nn.ModuleDict(
        {
            "linear_1": Linear(TYPE_EMBEDDING_WIDTH * config.types, embedding_width),
            "linear_2": Linear(embedding_width, embedding_width),
        }
    )


def type_embedding(head: Any, config: UnionConfig, types: Sequence[int], like: Tensor) -> Tensor:
    """Return the embedding [1, embedding_width] of the types of control, in the precision of ``like``."""
    chosen = torch.zeros(config.types, device=like.device)
    chosen[list(types)] = 1.0
    numbers = timestep_embedding(chosen, TYPE_EMBEDDING_WIDTH).flatten()[None].to(like.dtype)
    layers = head.control_add_embedding
    embedding: Tensor = layers["linear_2"](silu(layers["linear_1"](numbers)))
    return embedding


def merged_features(head: Any, h: Tensor, features: Tensor, types: Sequence[int]) -> Tensor:
    """Return the picture's features [B, C, h, w], shifted per channel by its types. ``h`` are the latent's features."""
    means = []
    for kind in types:
        task = head.task_embedding(torch.tensor(kind, device=h.device))
        means.append((features.mean(dim=(2, 3)) + task)[:, None])
    tokens = torch.cat([*means, h.mean(dim=(2, 3))[:, None]], dim=1)
    for layer in head.transformer_layes:
        tokens = layer(tokens)
    merged = torch.zeros_like(features)
    for number in range(len(types)):
        merged = merged + features + head.spatial_ch_projs(tokens[:, number])[:, :, None, None]
    return merged
