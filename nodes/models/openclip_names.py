"""Translates OpenCLIP's tensor names of text and image encoders into the names of transformers' CLIP models.

SD2, SDXL and unCLIP checkpoints keep OpenCLIP's encoders in its own layout (https://github.com/mlfoundations/open_clip):
query, key and value packed into one tensor, projections transposed. OpenAI's CLIP has the same layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

Shape = tuple[int, ...]


class Source(NamedTuple):
    """The source of a tensor: ``name`` in the file, the ``third`` of it (0, 1, 2 along the first dimension) if it is
    only a part, and ``transposed`` if its two dimensions must be swapped."""

    name: str
    third: int | None = None
    transposed: bool = False

    def shape(self, found: Shape) -> Shape:
        """Return the tensor's shape, if the tensor in the file has the shape ``found``."""
        if self.third is not None:
            found = (found[0] // 3, *found[1:])
        return found[::-1] if self.transposed else found


_RESBLOCK: Final = re.compile(r"transformer\.resblocks\.(\d+)\.(.+[._])(weight|bias)$")
_TELLING: Final = "transformer.resblocks.0.attn.in_proj_weight"
_OUTSIDE: Final[Mapping[str, str]] = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection.weight": "text_projection.weight",
}
_VISUAL: Final[Mapping[str, str]] = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_INSIDE: Final[Mapping[str, str]] = {
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
    "attn.out_proj.": "self_attn.out_proj.",
}
_PACKED: Final = "attn.in_proj_"


def translated(shapes: Mapping[str, Shape]) -> dict[str, Source]:
    """Map each tensor's name in transformers' layout to its source in the file.

    Tensors with other names keep them. The prefix of an encoder and the file's order stay.
    """
    telling = [name.removesuffix(_TELLING) for name in shapes if name.endswith(_TELLING)]
    texts = tuple(prefix for prefix in telling if prefix + "token_embedding.weight" in shapes)
    visuals = tuple(prefix for prefix in telling if prefix.endswith("visual.") and prefix + "conv1.weight" in shapes)
    found: dict[str, Source] = {}
    for name, shape in shapes.items():
        prefix = max((prefix for prefix in (*texts, *visuals) if name.startswith(prefix)), key=len, default=None)
        if prefix is None:
            found[name] = Source(name)
            continue
        inner = name.removeprefix(prefix)
        if prefix in visuals:
            outer = prefix.removesuffix("visual.")
            found |= {outer + here: source for here, source in _of_image_encoder(name, inner, shape)}
        else:
            found |= {prefix + here: source for here, source in _of_text_encoder(name, inner, shape)}
    return found


def _of_text_encoder(name: str, inner: str, shape: Shape) -> Iterator[tuple[str, Source]]:
    """The tensors that the file's tensor ``name`` contains; ``inner`` is its name without prefix."""
    if inner == "text_projection" and len(shape) == 2:
        yield "text_projection.weight", Source(name, transposed=True)
    elif block := _RESBLOCK.match(inner):
        yield from _of_layer(name, f"text_model.encoder.layers.{block[1]}.", block[2], block[3], shape)
    else:
        yield _OUTSIDE.get(inner, inner), Source(name)


def _of_image_encoder(name: str, inner: str, shape: Shape) -> Iterator[tuple[str, Source]]:
    if inner == "proj" and len(shape) == 2:
        yield "visual_projection.weight", Source(name, transposed=True)
    elif block := _RESBLOCK.match(inner):
        yield from _of_layer(name, f"vision_model.encoder.layers.{block[1]}.", block[2], block[3], shape)
    else:
        yield _VISUAL.get(inner, f"vision_model.{inner}"), Source(name)


def _of_layer(name: str, layer: str, part: str, ending: str, shape: Shape) -> Iterator[tuple[str, Source]]:
    if part == _PACKED and shape[:1] and shape[0] % 3 == 0:
        for third, projection in enumerate(_PROJECTIONS):
            yield f"{layer}self_attn.{projection}.{ending}", Source(name, third)
    else:
        yield f"{layer}{_INSIDE.get(part, part)}{ending}", Source(name)


class Packed(NamedTuple):
    """A tensor in OpenCLIP's layout: the tensors of transformers' layout that are joined along the first dimension."""

    names: tuple[str, ...]
    transposed: bool = False


def packed(names: Iterable[str]) -> dict[str, Packed]:
    """OpenCLIP's tensors of a text encoder whose tensors have ``names`` in transformers' layout, without prefix."""
    found: dict[str, Packed] = {}
    for name in names:
        match = _LAYER.match(name)
        if name == "text_projection.weight":
            found["text_projection"] = Packed((name,), transposed=True)
        elif match is None:
            found[_OUTSIDE_BACK[name]] = Packed((name,))
        elif match["part"] in _THIRDS:
            block = f"transformer.resblocks.{match['number']}.{_PACKED}{match['ending']}"
            found[block] = Packed((*(found[block].names if block in found else ()), name))
        else:
            part = _INSIDE_BACK[match["part"]]
            found[f"transformer.resblocks.{match['number']}.{part}{match['ending']}"] = Packed((name,))
    order = {f"self_attn.{projection}": third for third, projection in enumerate(_PROJECTIONS)}
    return {
        name: Packed(tuple(sorted(each.names, key=lambda n: _third(n, order))), each.transposed)
        for name, each in found.items()
    }


def _third(name: str, order: Mapping[str, int]) -> int:
    return next((third for part, third in order.items() if part in name), 0)


_PROJECTIONS: Final = ("q_proj", "k_proj", "v_proj")
_THIRDS: Final = tuple(f"self_attn.{projection}." for projection in _PROJECTIONS)
_LAYER: Final = re.compile(r"text_model\.encoder\.layers\.(?P<number>\d+)\.(?P<part>.+\.)(?P<ending>weight|bias)$")
_OUTSIDE_BACK: Final = {theirs: openclip for openclip, theirs in _OUTSIDE.items()}
_INSIDE_BACK: Final = {theirs: openclip for openclip, theirs in _INSIDE.items()}
