"""What a CLIP text encoder looks like, read from the shapes of its tensors.

Plain data, no torch: a checkpoint's header can be judged without loading anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final, Literal

from graph.errors import SumiError
from nodes.text.tokenizer import END, VOCABULARY_SIZE

Shape = tuple[int, ...]

HEAD_WIDTH: Final = 64
CHECKPOINT_PREFIX: Final = "cond_stage_model.transformer."
"""Where SD1 checkpoints keep their text encoder; a file of its own has no prefix."""

_TOKENS = "text_model.embeddings.token_embedding.weight"
_POSITIONS = "text_model.embeddings.position_embedding.weight"
_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.")
_NARROWEST_OPENCLIP = 1024


class UnknownTextEncoderError(SumiError):
    """The tensors are not those of a CLIP text encoder; says what was found and what was sought."""


@dataclass(frozen=True)
class TextConfig:
    """The sizes of one text encoder. The defaults are those of CLIP ViT-L/14, which SD1.5 has.

    ``projection``: width of the projected pooled output, None where the file has no projection.
    ``default_layer``: the layer that is used unless a workflow says otherwise, -1 the last.
    ``padding``: the token that fills up a chunk.
    """

    width: int = 768
    layers: int = 12
    mlp: int = 3072
    positions: int = 77
    vocabulary: int = VOCABULARY_SIZE
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    projection: int | None = None
    default_layer: int = -1
    padding: int = END

    @property
    def heads(self) -> int:
        return self.width // HEAD_WIDTH

    @cached_property
    def parameters(self) -> int:
        return sum(prod(shape) for shape in expected_shapes(self).values())


def text_prefix(shapes: Mapping[str, Shape]) -> str | None:
    """The prefix under which ``shapes`` holds a text encoder; None if it holds none.

    In a checkpoint it is CHECKPOINT_PREFIX, in a file of its own ``""`` as a rule.
    """
    found = [name.removesuffix(_TOKENS) for name in shapes if name.endswith(_TOKENS)]
    return CHECKPOINT_PREFIX if CHECKPOINT_PREFIX in found else min(found, key=len, default=None)


def detect_text(shapes: Mapping[str, Shape], prefix: str = "") -> TextConfig:
    """The encoder whose tensors are those under ``prefix``, in the layout of transformers' CLIPTextModel.

    Raises UnknownTextEncoderError if there is none, or one of another kind.
    """
    tokens = shapes.get(prefix + _TOKENS)
    positions = shapes.get(prefix + _POSITIONS)
    if tokens is None or positions is None:
        raise UnknownTextEncoderError(_no_encoder(shapes, prefix))
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
    width = tokens[1]
    projection = shapes.get(f"{prefix}text_projection.weight")
    return TextConfig(
        width=width,
        layers=max(layers) + 1,
        mlp=hidden[0],
        positions=positions[0],
        vocabulary=tokens[0],
        # The activation leaves no trace in the shapes: OpenAI's encoders (768 wide) have quick_gelu,
        # OpenCLIP's H and bigG (1024 and 1280) have gelu.
        activation="gelu" if width >= _NARROWEST_OPENCLIP else "quick_gelu",
        projection=projection[0] if projection else None,
    )


def expected_shapes(config: TextConfig) -> dict[str, Shape]:
    """Every tensor of the encoder, without prefix, and its shape."""
    width = config.width
    shapes: dict[str, Shape] = {
        _TOKENS: (config.vocabulary, width),
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
    """Whether ``name``, without prefix, is a tensor that some files carry and the encoder does not need."""
    return name in ("text_model.embeddings.position_ids", "logit_scale")


def _no_encoder(shapes: Mapping[str, Shape], prefix: str) -> str:
    if any(name.startswith("cond_stage_model.model.") for name in shapes):
        return "the text encoder is in OpenCLIP's layout (SD2), which is not supported yet; expected an SD1 checkpoint"
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        return "the file has SDXL's two text encoders, which are not supported yet; expected an SD1 checkpoint"
    return f"no CLIP text encoder: '{prefix}{_TOKENS}' or '{prefix}{_POSITIONS}' is missing"
