"""The sizes of a GLIGEN model (arXiv:2301.07093), read from the shapes of its tensors. Plain data, no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from graph.errors import SumiError
from nodes.models.unet_config import Shape, Transformer, UNetConfig, layout

BOXES: Final = 30
"""Maximum number of boxes of a GLIGEN model."""
FREQUENCIES: Final = 8
"""Number of frequencies at which the four numbers of a box are embedded."""
BOX_WIDTH: Final = 2 * 4 * FREQUENCIES

_NULL: Final = "position_net.null_positive_feature"
_FUSER: Final = re.compile(
    r"((?:input_blocks|middle_block|output_blocks)\.[\d.]+)\.transformer_blocks\.0\.fuser\.linear\.weight$"
)
_HEADS_OF_SD1: Final = 8
_TEXT_OF_SD1: Final = 768
_ORDER: Final = ("input_blocks", "middle_block", "output_blocks")


class UnknownGligenError(SumiError):
    """The tensors do not form a GLIGEN model. The message names the tensor that is missing."""


@dataclass(frozen=True)
class GligenConfig:
    """The sizes of one GLIGEN model.

    ``places`` are the U-Net's transformers that have a gated attention, in the order in which they run, with their
    channels. ``text`` is the width of a phrase's embedding, ``inner`` the hidden width of the layers that join it with
    its box, ``width`` the width of the resulting tokens.
    """

    places: tuple[tuple[str, int], ...]
    text: int = 768
    inner: int = 512
    width: int = 768

    def heads(self, channels: int) -> int:
        """Return the attention heads for that many channels: as many as the model's own attention has."""
        return _HEADS_OF_SD1 if self.width == _TEXT_OF_SD1 else max(1, channels // 64)

    @cached_property
    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(prod(shape) for shape in expected_shapes(self).values())


def gligen_prefix(shapes: Mapping[str, Shape]) -> str | None:
    """Return the prefix of the GLIGEN model in ``shapes``, or None if there is none."""
    return next((name.removesuffix(_NULL) for name in shapes if name.endswith(_NULL)), None)


def detect_gligen(shapes: Mapping[str, Shape], prefix: str = "") -> GligenConfig:
    """Return the sizes of the GLIGEN model whose tensors have ``prefix``. Raises UnknownGligenError."""
    needed = {}
    for name in (_NULL, "position_net.linears.0.weight", "position_net.linears.4.weight"):
        found = shapes.get(prefix + name)
        if found is None:
            raise UnknownGligenError(f"not a GLIGEN model for text boxes: no tensor {prefix}{name}")
        needed[name] = found
    places = []
    for name, shape in shapes.items():
        match = _FUSER.match(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if match is not None and len(shape) == 2:
            places.append((match[1], shape[0]))
    if not places:
        raise UnknownGligenError(f"not a GLIGEN model: no gated attention ({prefix}….fuser.linear.weight)")
    return GligenConfig(
        places=tuple(sorted(places, key=_running_order)),
        text=needed[_NULL][0],
        inner=needed["position_net.linears.0.weight"][0],
        width=needed["position_net.linears.4.weight"][0],
    )


def transformers(config: UNetConfig) -> tuple[tuple[str, int], ...]:
    """Return a U-Net's transformers in the order in which they run, with their channels."""
    plan = layout(config)
    blocks = [
        *((f"input_blocks.{number}", block) for number, block in enumerate(plan.input_blocks)),
        ("middle_block", plan.middle_block),
        *((f"output_blocks.{number}", block) for number, block in enumerate(plan.output_blocks)),
    ]
    return tuple(
        (f"{name}.{index}", part.channels)
        for name, block in blocks
        for index, part in enumerate(block)
        if isinstance(part, Transformer)
    )


def expected_shapes(config: GligenConfig) -> dict[str, Shape]:
    """Return the shape of every tensor of the model by its name without a prefix."""
    shapes: dict[str, Shape] = {}

    def affine(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]

    for place, channels in config.places:
        name = f"{place}.transformer_blocks.0.fuser"
        affine(f"{name}.linear", channels, config.width)
        for projection in ("to_q", "to_k", "to_v"):
            shapes[f"{name}.attn.{projection}.weight"] = (channels, channels)
        affine(f"{name}.attn.to_out.0", channels, channels)
        affine(f"{name}.ff.net.0.proj", 8 * channels, channels)
        affine(f"{name}.ff.net.2", channels, 4 * channels)
        affine(f"{name}.norm1", channels)
        affine(f"{name}.norm2", channels)
        shapes |= {f"{name}.alpha_attn": (), f"{name}.alpha_dense": ()}
    affine("position_net.linears.0", config.inner, config.text + BOX_WIDTH)
    affine("position_net.linears.2", config.inner, config.inner)
    affine("position_net.linears.4", config.width, config.inner)
    shapes |= {_NULL: (config.text,), "position_net.null_position_feature": (BOX_WIDTH,)}
    return shapes


def _running_order(place: tuple[str, int]) -> tuple[int, list[int]]:
    half, _, numbers = place[0].partition(".")
    return _ORDER.index(half), [int(number) for number in numbers.split(".")]
