"""The sizes of a ControlNet (arXiv:2302.05543), read from the shapes of its tensors. Plain data, no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from nodes.models.unet_config import Shape, UNetConfig, encoder_shapes, layout, skip_widths
from nodes.models.unet_detection import UnknownUNetError, detect_encoder

TYPE_EMBEDDING_WIDTH: Final = 256
"""The width of the embedding of each type of control in a union ControlNet."""
_HINT: Final = re.compile(r"input_hint_block\.(\d+)\.weight$")


@dataclass(frozen=True)
class UnionConfig:
    """The additional sizes of a union ControlNet: one network for several types of control (xinsir, ControlNet++)."""

    types: int
    layers: int
    heads: int = 8


@dataclass(frozen=True)
class ControlNetConfig:
    """The sizes of one ControlNet.

    ``unet`` describes its copy of a U-Net's encoder half; the output blocks are ignored. ``hint_widths`` are the
    channels of the convolutions between the picture with ``hint_channels`` and the U-Net's first feature map, two per
    level, from full resolution to one eighth.
    """

    unet: UNetConfig
    hint_channels: int = 3
    hint_widths: tuple[int, ...] = (16, 16, 32, 32, 96, 96, 256)
    union: UnionConfig | None = None

    @property
    def factor(self) -> int:
        """Return the pixels of the picture per latent pixel, along each side."""
        return int(2 ** (len(self.hint_widths) // 2))

    @cached_property
    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(prod(shape) for shape in expected_shapes(self).values())


@dataclass(frozen=True)
class HeadConfig:
    """The part of a ControlNet that is not a copy of the encoder, for a ControlLora."""

    control: ControlNetConfig


def expected_shapes(config: ControlNetConfig) -> dict[str, Shape]:
    """Return the shape of every tensor of the network by its original name without a prefix."""
    return {**encoder_shapes(config.unet), **head_shapes(config)}


def head_shapes(config: ControlNetConfig) -> dict[str, Shape]:
    """The tensors that are not part of the copy of the encoder."""
    shapes: dict[str, Shape] = {}

    def convolution(name: str, out: int, channels: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (out, channels, kernel, kernel)
        shapes[f"{name}.bias"] = (out,)

    channels = config.hint_channels
    for number, width in enumerate((*config.hint_widths, config.unet.model_channels)):
        convolution(f"input_hint_block.{2 * number}", width, channels, 3)
        channels = width
    widths = skip_widths(config.unet)
    for number, width in enumerate(widths):
        convolution(f"zero_convs.{number}.0", width, width, 1)
    if config.unet.has_middle:
        convolution("middle_block_out.0", widths[-1], widths[-1], 1)
    if config.union is not None:
        shapes |= _union_shapes(config.union, config.unet)
    return shapes


def middle_width(config: UNetConfig) -> int | None:
    """Return the channels of the middle block, or None if there is none."""
    return skip_widths(config)[-1] if layout(config).middle_block else None


def detect_controlnet(shapes: Mapping[str, Shape], prefix: str = "") -> ControlNetConfig:
    """Return the sizes of the ControlNet whose tensors have ``prefix``. Raises UnknownUNetError."""
    hints: dict[int, Shape] = {}
    for name, shape in shapes.items():
        match = _HINT.match(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if match is not None and len(shape) == 4:
            hints[int(match[1])] = shape
    if 0 not in hints or len(hints) < 2:
        raise UnknownUNetError(f"not a ControlNet: no tensor {prefix}input_hint_block.0.weight")
    order = sorted(hints)
    return ControlNetConfig(
        unet=detect_encoder(shapes, prefix),
        hint_channels=hints[0][1],
        hint_widths=tuple(hints[number][0] for number in order[:-1]),
        union=_detect_union(shapes, prefix),
    )


def _detect_union(shapes: Mapping[str, Shape], prefix: str) -> UnionConfig | None:
    tasks = shapes.get(f"{prefix}task_embedding.weight")
    if tasks is None or f"{prefix}control_add_embedding.linear_1.weight" not in shapes:
        return None
    layers = 0
    while f"{prefix}transformer_layes.{layers}.ln_1.weight" in shapes:
        layers += 1
    return UnionConfig(tasks[0], layers)


def _union_shapes(union: UnionConfig, unet: UNetConfig) -> dict[str, Shape]:
    width, embedding = unet.model_channels, unet.embedding_width
    shapes: dict[str, Shape] = {
        "task_embedding.weight": (union.types, width),
        "spatial_ch_projs.weight": (width, width),
        "spatial_ch_projs.bias": (width,),
        "control_add_embedding.linear_1.weight": (embedding, TYPE_EMBEDDING_WIDTH * union.types),
        "control_add_embedding.linear_1.bias": (embedding,),
        "control_add_embedding.linear_2.weight": (embedding, embedding),
        "control_add_embedding.linear_2.bias": (embedding,),
    }
    for number in range(union.layers):
        shapes |= residual_attention_shapes(f"transformer_layes.{number}", width)
    return shapes


def residual_attention_shapes(layer: str, width: int) -> dict[str, Shape]:
    """Return the shapes of a :class:`nodes.control.residual_attention.ResidualAttention` named ``layer``."""
    shapes: dict[str, Shape] = {}
    for name, shape in (
        ("attn.in_proj_", (3 * width, width)),
        ("attn.out_proj.", (width, width)),
        ("mlp.c_fc.", (4 * width, width)),
        ("mlp.c_proj.", (width, 4 * width)),
        ("ln_1.", (width,)),
        ("ln_2.", (width,)),
    ):
        shapes |= {f"{layer}.{name}weight": shape, f"{layer}.{name}bias": shape[:1]}
    return shapes
