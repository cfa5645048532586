"""The size of a CLIP text encoder, read from the shapes of its tensors.

This is plain data without torch, so a checkpoint's header can be checked without loading anything. The family supplies
what the shapes do not show (activation, padding token, layer): :mod:`nodes.models.text_roles`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final, Literal

from graph.errors import SumiError

Shape = tuple[int, ...]
Activation = Literal["quick_gelu", "gelu"]

HEAD_WIDTH: Final = 64
VOCABULARY_SIZE: Final = 49408
"""Size of CLIP's vocabulary, including the start and end token."""
CHECKPOINT_PREFIX: Final = "cond_stage_model.transformer."
"""The prefix of the text encoder in SD1 checkpoints; a separate file has none."""

TOKEN_EMBEDDING: Final = "text_model.embeddings.token_embedding.weight"
_POSITIONS = "text_model.embeddings.position_embedding.weight"
_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.")


class UnknownTextEncoderError(SumiError):
    """The tensors do not form a CLIP text encoder. The message gives what was found and expected."""


@dataclass(frozen=True)
class TextConfig:
    """The sizes of one text encoder. The defaults are for CLIP ViT-L/14, which SD1.5 uses.

    ``projection``: width of the projected pooled output, None if the file has no projection.
    """

    width: int = 768
    layers: int = 12
    mlp: int = 3072
    positions: int = 77
    vocabulary: int = VOCABULARY_SIZE
    activation: Activation = "quick_gelu"
    projection: int | None = None

    @property
    def heads(self) -> int:
        """Return the number of attention heads; in every CLIP text encoder they are 64 wide."""
        return self.width // HEAD_WIDTH

    @cached_property
    def parameters(self) -> int:
        return sum(prod(shape) for shape in expected_shapes(self).values())


def text_prefixes(shapes: Mapping[str, Shape]) -> list[str]:
    """Return the prefixes of text encoders in ``shapes``, in the file's order; "" for a file with only one."""
    return [name.removesuffix(TOKEN_EMBEDDING) for name in shapes if name.endswith(TOKEN_EMBEDDING)]


def detect_text(shapes: Mapping[str, Shape], prefix: str = "", activation: Activation = "quick_gelu") -> TextConfig:
    """Return the encoder with tensors under ``prefix``, in the layout of transformers' CLIPTextModel.

    Raises UnknownTextEncoderError if there is none, or one of another kind.
    """
    tokens = shapes.get(prefix + TOKEN_EMBEDDING)
    positions = shapes.get(prefix + _POSITIONS)
    if tokens is None or positions is None:
        raise UnknownTextEncoderError(
            f"no CLIP text encoder: '{prefix}{TOKEN_EMBEDDING}' or '{prefix}{_POSITIONS}' is missing"
        )
    layers = {int(match[1]) for name in shapes if (match := _LAYER.match(name.removeprefix(prefix)))}
    hidden = shapes.get(f"{prefix}text_model.encoder.layers.0.mlp.fc1.weight")
    if len(tokens) != 2 or len(positions) != 2 or tokens[1] % HEAD_WIDTH or not layers or not hidden:
        raise UnknownTextEncoderError(
            f"no CLIP text encoder under '{prefix}': token embedding {list(tokens)}, {len(layers)} layers; "
            f"expected a width that is a multiple of {HEAD_WIDTH}, and at least one layer"
        )
    if tokens[0] != VOCABULARY_SIZE:
        raise UnknownTextEncoderError(
            f"the text encoder under '{prefix}' has a vocabulary of {tokens[0]:,}; CLIP's is {VOCABULARY_SIZE:,}"
        )
    projection = shapes.get(f"{prefix}text_projection.weight")
    return TextConfig(
        width=tokens[1],
        layers=max(layers) + 1,
        mlp=hidden[0],
        positions=positions[0],
        vocabulary=tokens[0],
        activation=activation,
        projection=projection[0] if projection else None,
    )


def expected_shapes(config: TextConfig) -> dict[str, Shape]:
    """Return every tensor of the encoder, without prefix, and its shape."""
    width = config.width
    shapes: dict[str, Shape] = {
        TOKEN_EMBEDDING: (config.vocabulary, width),
        _POSITIONS: (config.positions, width),
    }
    for number in range(config.layers):
        layer = f"text_model.encoder.layers.{number}."
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{name}.weight": (width,), f"{layer}{name}.bias": (width,)}
        for name, shape in (
            *((f"self_attn.{part}_proj", (width, width)) for part in "qkv"),
            ("self_attn.out_proj", (width, width)),
            ("mlp.fc1", (config.mlp, width)),
            ("mlp.fc2", (width, config.mlp)),
        ):
            shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
    shapes |= {"text_model.final_layer_norm.weight": (width,), "text_model.final_layer_norm.bias": (width,)}
    if config.projection is not None:
        shapes["text_projection.weight"] = (config.projection, width)
    return shapes


def is_optional(name: str) -> bool:
    """Whether ``name``, without prefix, is a tensor of some files that the encoder does not need."""
    return name in ("text_model.embeddings.position_ids", "logit_scale", "attn_mask")
