"""The size of a CLIP image encoder, read from the shapes of its tensors. Plain data, no torch.

Names are transformers' (CLIPVisionModelWithProjection); OpenCLIP's are translated where files are opened
(:mod:`nodes.models.openclip_names`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isqrt, prod
from typing import Final

from graph.errors import SumiError
from nodes.models.text_config import Activation

Shape = tuple[int, ...]

PATCHES: Final = "vision_model.embeddings.patch_embedding.weight"
_POSITIONS: Final = "vision_model.embeddings.position_embedding.weight"
_CLASS: Final = "vision_model.embeddings.class_embedding"
_PROJECTION: Final = "visual_projection.weight"
_SIGLIP: Final = "vision_model.embeddings.patch_embedding.bias"
"""A tensor that SigLIP's encoders have and CLIP's do not."""
_LAYER: Final = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.")
_HEADS_OF_LARGE: Final = 16
"""Attention heads of ViT-L, ViT-H and ViT-bigG; smaller encoders have heads 64 wide."""
_LARGE: Final = 1024


class UnknownVisionError(SumiError):
    """The tensors do not form a CLIP image encoder. The message names the tensor that is missing or unfit."""


@dataclass(frozen=True)
class VisionConfig:
    """The sizes of one image encoder. The defaults describe CLIP ViT-L/14.

    Pictures are ``image_size`` pixels on each side, in patches of ``patch_size``; ``projection`` is the width of the
    image's embedding.
    """

    width: int = 1024
    layers: int = 24
    mlp: int = 4096
    patch_size: int = 14
    image_size: int = 224
    projection: int = 768

    @property
    def heads(self) -> int:
        """Attention heads of each layer."""
        return _HEADS_OF_LARGE if self.width >= _LARGE else max(1, self.width // 64)

    @property
    def activation(self) -> Activation:
        """OpenAI's encoders, up to ViT-L, use the approximation of GELU; OpenCLIP's larger ones GELU itself."""
        return "quick_gelu" if self.width <= _LARGE else "gelu"

    @property
    def positions(self) -> int:
        """Tokens of a picture: its patches and the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1

    @cached_property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(prod(shape) for shape in expected_shapes(self).values())


def vision_prefix(shapes: Mapping[str, Shape]) -> str | None:
    """The prefix under which ``shapes`` holds an image encoder; None if there is none."""
    return next((name.removesuffix(PATCHES) for name in shapes if name.endswith(PATCHES)), None)


def detect_vision(shapes: Mapping[str, Shape], prefix: str = "") -> VisionConfig:
    """The image encoder whose tensors are those under ``prefix``. Raises UnknownVisionError."""
    if f"{prefix}{_SIGLIP}" in shapes:
        raise UnknownVisionError(
            "a SigLIP image encoder, which Sumi does not run; expected CLIP ViT-L, ViT-H or ViT-bigG"
        )
    found: dict[str, Shape] = {}
    for name, dimensions in ((PATCHES, 4), (_POSITIONS, 2), (_CLASS, 1), (_PROJECTION, 2)):
        shape = shapes.get(prefix + name)
        if shape is None or len(shape) != dimensions:
            state = "is missing" if shape is None else f"has shape {list(shape)}"
            raise UnknownVisionError(
                f"not a CLIP vision model: '{prefix}{name}' {state}; expected CLIP ViT-L, ViT-H or ViT-bigG"
            )
        found[name] = shape
    layers = {int(match[1]) for name in shapes if (match := _LAYER.match(name.removeprefix(prefix)))}
    hidden = shapes.get(f"{prefix}vision_model.encoder.layers.0.mlp.fc1.weight")
    side = isqrt(found[_POSITIONS][0] - 1)
    if not layers or not hidden or side * side + 1 != found[_POSITIONS][0]:
        raise UnknownVisionError(
            f"not a CLIP vision model under '{prefix}': {len(layers)} layers, {found[_POSITIONS][0]} positions; "
            "expected at least one layer, and a class token before a square of patches"
        )
    patch_size = found[PATCHES][-1]
    return VisionConfig(
        width=found[PATCHES][0],
        layers=max(layers) + 1,
        mlp=hidden[0],
        patch_size=patch_size,
        image_size=side * patch_size,
        projection=found[_PROJECTION][0],
    )


def expected_shapes(config: VisionConfig) -> dict[str, Shape]:
    """Every tensor of the encoder, without prefix, and its shape."""
    width = config.width
    shapes: dict[str, Shape] = {
        _CLASS: (width,),
        PATCHES: (width, 3, config.patch_size, config.patch_size),
        _POSITIONS: (config.positions, width),
        _PROJECTION: (config.projection, width),
    }
    for norm in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"vision_model.{norm}.weight": (width,), f"vision_model.{norm}.bias": (width,)}
    for number in range(config.layers):
        layer = f"vision_model.encoder.layers.{number}."
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{norm}.weight": (width,), f"{layer}{norm}.bias": (width,)}
        for name, shape in (
            *((f"self_attn.{part}_proj", (width, width)) for part in "qkv"),
            ("self_attn.out_proj", (width, width)),
            ("mlp.fc1", (config.mlp, width)),
            ("mlp.fc2", (width, config.mlp)),
        ):
            shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
    return shapes


def is_optional(name: str) -> bool:
    """Whether ``name``, without prefix, is a tensor that some files carry and the encoder does not need.

    Files of whole CLIP models hold the text encoder beside the image encoder, unCLIP checkpoints what is left of it.
    """
    return name in ("vision_model.embeddings.position_ids", "logit_scale", "positional_embedding") or name.startswith(
        ("text_model.", "text_projection", "token_embedding.", "ln_final.", "transformer.")
    )
