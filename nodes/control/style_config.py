"""The sizes of a T2I style adapter (arXiv:2302.08453), read from the shapes of its tensors. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from nodes.control.controlnet_config import residual_attention_shapes
from nodes.models.unet_config import Shape


@dataclass(frozen=True)
class StyleConfig:
    """The sizes of one style adapter.

    ``width`` is the width of the image encoder's tokens, ``context`` the text's, ``tokens`` the number of tokens that
    it adds to a prompt.
    """

    width: int = 1024
    context: int = 768
    tokens: int = 8
    layers: int = 3
    heads: int = 8

    @cached_property
    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(prod(shape) for shape in expected_shapes(self).values())


def expected_shapes(config: StyleConfig) -> dict[str, Shape]:
    """Return the shape of every tensor of the adapter by name."""
    width = config.width
    shapes: dict[str, Shape] = {
        "style_embedding": (1, config.tokens, width),
        "proj": (width, config.context),
        **{f"{norm}.weight": (width,) for norm in ("ln_pre", "ln_post")},
        **{f"{norm}.bias": (width,) for norm in ("ln_pre", "ln_post")},
    }
    for number in range(config.layers):
        shapes |= residual_attention_shapes(f"transformer_layes.{number}", width)
    return shapes


def detect_style(shapes: Mapping[str, Shape]) -> StyleConfig | None:
    """Return the sizes of the style adapter with tensors of these shapes, or None if it is none."""
    style, projection = shapes.get("style_embedding", ()), shapes.get("proj", ())
    if len(style) != 3 or len(projection) != 2:
        return None
    layers = 0
    while f"transformer_layes.{layers}.ln_1.weight" in shapes:
        layers += 1
    return StyleConfig(style[2], projection[1], style[1], layers)
