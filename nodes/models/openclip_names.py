"""Translates OpenCLIP's tensor names of a text encoder into the names of transformers' CLIPTextModel.

SD2 and SDXL checkpoints keep OpenCLIP's encoders in its own layout (https://github.com/mlfoundations/open_clip):
query, key and value packed into one tensor, the projection of the pooled output transposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

Shape = tuple[int, ...]


class Source(NamedTuple):
    """Where a tensor is found: ``name`` in the file, ``third`` of it (0, 1, 2 along the first dimension) if only a
    third is meant, ``transposed`` if its two dimensions are to be swapped."""

    name: str
    third: int | None = None
    transposed: bool = False

    def shape(self, found: Shape) -> Shape:
        """The shape that the tensor has when the file's has the shape ``found``."""
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
_INSIDE: Final[Mapping[str, str]] = {
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
    "attn.out_proj.": "self_attn.out_proj.",
}
_PACKED: Final = "attn.in_proj_"


def translated(shapes: Mapping[str, Shape]) -> dict[str, Source]:
    """Where each tensor of a file comes from, under transformers' names where the file has OpenCLIP's.

    Other tensors keep their names. The prefix of an encoder stays as it is. Order is that of the file.
    """
    prefixes = tuple(name.removesuffix(_TELLING) for name in shapes if name.endswith(_TELLING))
    prefixes = tuple(prefix for prefix in prefixes if prefix + "token_embedding.weight" in shapes)
    found: dict[str, Source] = {}
    for name, shape in shapes.items():
        prefix = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default=None)
        if prefix is None:
            found[name] = Source(name)
        else:
            found |= {prefix + inner: source for inner, source in _of_encoder(name, name.removeprefix(prefix), shape)}
    return found


def _of_encoder(name: str, inner: str, shape: Shape) -> Iterator[tuple[str, Source]]:
    """The tensors that the file's tensor ``name`` contains; ``inner`` is its name without prefix."""
    if inner == "text_projection" and len(shape) == 2:
        yield "text_projection.weight", Source(name, transposed=True)
        return
    block = _RESBLOCK.match(inner)
    if block is None:
        yield _OUTSIDE.get(inner, inner), Source(name)
        return
    number, part, ending = block.groups()
    layer = f"text_model.encoder.layers.{number}."
    if part == _PACKED and shape[:1] and shape[0] % 3 == 0:
        for third, projection in enumerate(("q_proj", "k_proj", "v_proj")):
            yield f"{layer}self_attn.{projection}.{ending}", Source(name, third)
    else:
        yield f"{layer}{_INSIDE.get(part, part)}{ending}", Source(name)
