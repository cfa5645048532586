"""ControlNet (Zhang et al., arXiv:2302.05543): a copy of a U-Net's encoder half that takes a picture as well.

Tensors have the names of the original repository without ``control_model.``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nodes.control.controlnet_config import ControlNetConfig
from nodes.control.union import build_union, merged_features, type_embedding
from nodes.fused import Convolution
from nodes.models.unet_config import skip_widths
from nodes.unet.control import Control
from nodes.unet.encoder import ContextKV, Encoder


@dataclass(frozen=True)
class Hint:
    """The features that a ControlNet computes from its picture, which do not depend on the noise level.

    ``features`` [B, model_channels, h, w] have the latent's size. ``types`` are the picture's
    types of control for a union ControlNet; if empty, the network detects the type.
    """

    features: Tensor
    types: Sequence[int] = ()


class Head(Protocol):
    """The parts of a ControlNet that are not a copy of the encoder."""

    input_hint_block: nn.Sequential
    zero_convs: nn.ModuleList
    middle_block_out: nn.Sequential | None
    control_config: ControlNetConfig


def build_head(module: Any, config: ControlNetConfig) -> None:
    """Add the parts of a :class:`Head` to ``module``."""
    module.control_config = config
    module.input_hint_block = hint_block(config)
    widths = skip_widths(config.unet)
    module.zero_convs = nn.ModuleList(nn.Sequential(Convolution(width, width, 1)) for width in widths)
    module.middle_block_out = None
    if config.unet.has_middle:
        module.middle_block_out = nn.Sequential(Convolution(widths[-1], widths[-1], 1))
    if config.union is not None:
        build_union(module, config.union, config.unet)


def hint_block(config: ControlNetConfig) -> nn.Sequential:
    """Return convolutions from a picture [B, hint_channels, H, W] to features [B, model_channels, H / 8, W / 8]."""
    layers: list[nn.Module] = []
    channels = config.hint_channels
    widths = (*config.hint_widths, config.unet.model_channels)
    for number, width in enumerate(widths):
        # The first convolution of every level except the first halves the sides.
        halves = number > 0 and number % 2 == 0 and number < len(widths) - 1
        layers.append(Convolution(channels, width, 3, stride=2 if halves else 1, padding=1))
        if number < len(widths) - 1:
            layers.append(nn.SiLU())
        channels = width
    return nn.Sequential(*layers)


class ControlNet(Encoder):
    """A ControlNet with encoder and head in one module."""

    def __init__(self, config: ControlNetConfig):
        super().__init__(config.unet)
        build_head(self, config)
        self.finish()


class HeadNetwork(nn.Module):
    """Only the head, for an encoder in another module."""

    def __init__(self, config: ControlNetConfig):
        super().__init__()
        build_head(self, config)
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def residuals(
    encoder: Encoder,
    head: Head,
    x: Tensor,
    hint: Hint,
    timesteps: Tensor,
    context: ContextKV,
    y: Tensor | None = None,
) -> Control:
    """Compute the residuals of a ControlNet for a U-Net call.

    Args:
        encoder: the copy of the encoder half; other parts that it may have are not used.
        head: the rest of the ControlNet.
        x: the U-Net's input [B, in_channels, h, w] without extra channels.
        hint: :func:`hint_of` the picture.
        timesteps: [B], 0 to 999.
        context: the text, projected by ``encoder``.
        y: [B, adm_in_channels] for networks that take a vector.
    """
    embedding = encoder.time_embedding(timesteps)
    union = head.control_config.union
    if union is not None:
        embedding = embedding + type_embedding(head, union, hint.types, embedding)
    embedding = encoder.activated(embedding, y)
    h = x.to(encoder.dtype).contiguous(memory_format=torch.channels_last)
    skips = []
    for number, block in enumerate(encoder.input_blocks):
        h = encoder.run_block(block, h, embedding, context, None)
        if number == 0:
            h = h + (merged_features(head, h, hint.features, hint.types) if hint.types else hint.features)
        skips.append(head.zero_convs[number](h))
    middle = None
    if head.middle_block_out is not None:
        middle = head.middle_block_out(encoder.run_block(encoder.middle_block, h, embedding, context, None))
    return Control(skips, middle)


def hint_of(head: Head, picture: Tensor, types: Sequence[int] = ()) -> Hint:
    """Compute the features of a picture [B, hint_channels, H, W], 0..1."""
    weight = next(head.input_hint_block.parameters())
    picture = picture.to(weight.device, weight.dtype).contiguous(memory_format=torch.channels_last)
    return Hint(head.input_hint_block(picture), types)
