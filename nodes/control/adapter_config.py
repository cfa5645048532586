"""The sizes of a T2I-Adapter (arXiv:2302.08453), read from the shapes of its tensors. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from nodes.models.unet_config import Shape

_BLOCKS: Final = 2
"""Residual blocks of each level of a full adapter."""
_LARGE_INPUTS: Final = (256, 768)
"""Channels after unshuffling that only SDXL's adapters have: 1 or 3 picture channels, times 16²."""


@dataclass(frozen=True)
class AdapterConfig:
    """The sizes of one adapter.

    The picture has ``picture_channels``; its squares of ``factor`` × ``factor`` pixels become channels. ``channels``
    lists the channels of each level's feature map, and each level has ``blocks`` residual blocks. A ``light`` adapter
    computes with a quarter of the channels. SDXL's adapters (``is_xl``) halve the sides only before the third level.
    ``kernel`` is the kernel size of all convolutions except the first of each block. With ``convolves`` a convolution
    halves the sides; with ``projects`` the skip of each block is a convolution.
    """

    picture_channels: int = 3
    factor: int = 8
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: int = _BLOCKS
    light: bool = False
    is_xl: bool = False
    kernel: int = 1
    convolves: bool = False
    projects: bool = False

    @property
    def inputs(self) -> int:
        """Return the channels of the picture after unshuffling."""
        return self.picture_channels * self.factor**2

    def halves(self, level: int) -> bool:
        """Return whether the sides are halved before ``level``."""
        return level == 2 if self.is_xl else level > 0

    def width_before(self, level: int) -> int:
        """Return the number of input channels of a level."""
        return self.channels[max(0, level - 1)]

    @cached_property
    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(prod(shape) for shape in expected_shapes(self).values())


def expected_shapes(config: AdapterConfig) -> dict[str, Shape]:
    """Return the shape of every tensor by its original name without a prefix."""
    shapes: dict[str, Shape] = {}

    def convolution(name: str, out: int, channels: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (out, channels, kernel, kernel)
        shapes[f"{name}.bias"] = (out,)

    if config.light:
        before = config.inputs
        for level, width in enumerate(config.channels):
            inner = width // 4
            convolution(f"body.{level}.in_conv", inner, before, 1)
            for block in range(config.blocks):
                convolution(f"body.{level}.body.{block}.block1", inner, inner, 3)
                convolution(f"body.{level}.body.{block}.block2", inner, inner, 3)
            convolution(f"body.{level}.out_conv", width, inner, 1)
            before = width
        return shapes
    convolution("conv_in", config.channels[0], config.inputs, 3)
    for level, width in enumerate(config.channels):
        for block in range(config.blocks):
            name = f"body.{level * config.blocks + block}"
            before = config.width_before(level) if block == 0 else width
            if before != width or config.projects:
                convolution(f"{name}.in_conv", width, before, config.kernel)
            convolution(f"{name}.block1", width, width, 3)
            convolution(f"{name}.block2", width, width, config.kernel)
            if config.projects:
                convolution(f"{name}.skep", width, width, config.kernel)
            if config.convolves and block == 0 and config.halves(level):
                convolution(f"{name}.down_opt.op", before, before, 3)
    return shapes


def detect_adapter(shapes: Mapping[str, Shape], prefix: str = "") -> AdapterConfig | None:
    """Return the sizes of the adapter whose tensors have ``prefix``, or None if there is none."""

    def shape(name: str) -> Shape:
        found = shapes.get(f"{prefix}{name}.weight", ())
        return found if len(found) == 4 else ()

    light = shape("body.0.in_conv")
    if light and shape("body.0.body.0.block1"):
        levels, blocks = 0, 0
        while shape(f"body.{levels}.out_conv"):
            levels += 1
        while shape(f"body.0.body.{blocks}.block1"):
            blocks += 1
        channels = tuple(shape(f"body.{level}.out_conv")[0] for level in range(levels))
        return AdapterConfig(*_picture(light[1]), channels, blocks, light=True) if channels else None
    first, second = shape("conv_in"), shape("body.0.block2")
    if not (first and second and shape("body.0.block1")):
        return None
    count = 0
    while shape(f"body.{count}.block1"):
        count += 1
    channels = tuple(shape(f"body.{number}.block1")[0] for number in range(0, count, _BLOCKS))
    return AdapterConfig(
        *_picture(first[1]),
        channels,
        is_xl=first[1] in _LARGE_INPUTS,
        kernel=second[-1],
        convolves=any(".down_opt.op." in name for name in shapes),
        projects=bool(shape("body.0.skep")),
    )


def _picture(inputs: int) -> tuple[int, int]:
    """Return the picture's channels and the side, in pixels, of a square that becomes channels."""
    factor = 16 if inputs in _LARGE_INPUTS else 8
    return inputs // factor**2, factor
