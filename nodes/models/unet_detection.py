"""Detects the configuration of a Stable Diffusion U-Net from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from graph.errors import SumiError
from nodes.models.unet_config import Shape, UNetConfig


class UnknownUNetError(SumiError):
    """The tensors do not form a Stable Diffusion U-Net. The message names the tensors found and expected."""


def detect_unet(shapes: Mapping[str, Shape], prefix: str = "") -> UNetConfig:
    """Detect the U-Net from the shapes of its tensors.

    Only names that start with ``prefix`` (``model.diffusion_model.`` in a full checkpoint) are used; ``shapes`` may
    hold others. Not all tensors are checked (a missing bias, for example); compare ``expected_shapes`` of the
    result with the file.

    Raises:
        UnknownUNetError: not a U-Net of this architecture; the message names a missing or unexpected tensor.
    """
    shape = _shape_reader(shapes, prefix)
    shape("input_blocks.0.0.weight", 4)
    out_channels = shape("out.2.weight", 4)[0]
    encoder = detect_encoder(shapes, prefix)
    if encoder.context_width == 0:
        raise UnknownUNetError(
            f"not a Stable Diffusion U-Net: no cross-attention ({prefix}*.transformer_blocks.0.attn2.to_k.weight)"
        )
    outputs = range(len(encoder.output_depth))
    output_depth = tuple(_depth(shapes, f"{prefix}output_blocks.{block}.1") for block in outputs)
    widths = [encoder.model_channels * mult for mult in encoder.channel_mult]
    text_only = tuple(
        _looks_at_text_only(shapes, prefix, block, encoder.context_width, width)
        for block, width in _first_transformers(encoder.res_blocks, encoder.input_depth, output_depth, widths)
    )
    return replace(
        encoder,
        out_channels=out_channels,
        output_depth=output_depth,
        text_only=text_only if any(text_only) else (),
    )


def detect_encoder(shapes: Mapping[str, Shape], prefix: str = "") -> UNetConfig:
    """Detect the encoder half (embeddings, input and middle blocks) of a U-Net, in the manner of :func:`detect_unet`.

    The result's output blocks have no attention. ``context_width`` is 0 if no block has.

    Raises:
        UnknownUNetError: not an encoder of this architecture; the message names a missing or unexpected tensor.
    """
    shape = _shape_reader(shapes, prefix)
    model_channels, in_channels, *_ = shape("input_blocks.0.0.weight", 4)
    widths: list[int] = []
    res_blocks: list[int] = []
    input_depth: list[int] = []
    index = 1
    level_open = False
    while (name := f"{prefix}input_blocks.{index}") and (
        f"{name}.0.in_layers.0.weight" in shapes or f"{name}.0.op.weight" in shapes
    ):
        if f"{name}.0.op.weight" in shapes:
            level_open = False
        else:
            if not level_open:
                widths.append(shape(f"input_blocks.{index}.0.out_layers.3.weight", 4)[0])
                res_blocks.append(0)
                level_open = True
            res_blocks[-1] += 1
            input_depth.append(_depth(shapes, f"{name}.1"))
        index += 1
    if not widths:
        raise UnknownUNetError(_not_found(shapes, prefix, "input_blocks.1.0.in_layers.0.weight"))
    mults = [width // model_channels for width in widths]
    if any(mult * model_channels != width or mult == 0 for mult, width in zip(mults, widths, strict=True)):
        raise UnknownUNetError(
            f"not a Stable Diffusion U-Net: level widths {widths} are not multiples of the first, {model_channels}"
        )

    has_middle = any(name.startswith(f"{prefix}middle_block.") for name in shapes)
    if has_middle:
        shape("middle_block.0.in_layers.0.weight", 1)
    middle = f"{prefix}middle_block.1"
    middle_depth = _depth(shapes, middle) if f"{middle}.norm.weight" in shapes else None
    if middle_depth is None and f"{middle}.in_layers.0.weight" in shapes:
        middle_depth = 0

    transformer = next((name for name in _transformers(shapes, prefix)), None)
    context_width = 0
    projection: Shape = ()
    if transformer is not None:
        context_width = shape(f"{transformer}.transformer_blocks.0.attn2.to_k.weight", 2)[1]
        projection = shapes.get(f"{prefix}{transformer}.proj_in.weight", ())
        if len(projection) not in (2, 4):
            shape(f"{transformer}.proj_in.weight", 4)
    return UNetConfig(
        in_channels=in_channels,
        model_channels=model_channels,
        channel_mult=tuple(mults),
        res_blocks=tuple(res_blocks),
        input_depth=tuple(input_depth),
        middle_depth=middle_depth,
        has_middle=has_middle,
        output_depth=(0,) * sum(n + 1 for n in res_blocks),
        context_width=context_width,
        adm_in_channels=shape("label_emb.0.0.weight", 2)[1] if f"{prefix}label_emb.0.0.weight" in shapes else None,
        classes=shape("label_emb.weight", 2)[0] if f"{prefix}label_emb.weight" in shapes else None,
        linear_projections=len(projection) == 2,
    )


def _shape_reader(shapes: Mapping[str, Shape], prefix: str) -> Callable[[str, int], Shape]:
    """Return ``shape(name, dimensions)``, which reads a shape under ``prefix`` or raises UnknownUNetError."""

    def shape(name: str, dimensions: int) -> Shape:
        found = shapes.get(prefix + name)
        if found is None:
            raise UnknownUNetError(_not_found(shapes, prefix, name))
        if len(found) != dimensions:
            raise UnknownUNetError(
                f"not a Stable Diffusion U-Net: {prefix}{name} has shape {tuple(found)}, "
                f"expected {dimensions} dimensions"
            )
        return tuple(found)

    return shape


def _depth(shapes: Mapping[str, Shape], transformer: str) -> int:
    depth = 0
    while f"{transformer}.transformer_blocks.{depth}.norm1.weight" in shapes:
        depth += 1
    return depth


def _first_transformers(
    res_blocks: Sequence[int], input_depth: Sequence[int], output_depth: Sequence[int], widths: Sequence[int]
) -> Iterator[tuple[str | None, int]]:
    """Return the name of one transformer of each level (None if it has none) and the level's channels."""
    down, up = 0, len(output_depth)
    for level, blocks in enumerate(res_blocks):
        up -= blocks + 1
        inputs = [f"input_blocks.{down + level + n + 1}.1" for n in range(blocks) if input_depth[down + n]]
        outputs = [f"output_blocks.{up + n}.1" for n in range(blocks + 1) if output_depth[up + n]]
        down += blocks
        yield next(iter([*inputs, *outputs]), None), widths[level]


def _looks_at_text_only(
    shapes: Mapping[str, Shape], prefix: str, transformer: str | None, context_width: int, channels: int
) -> bool:
    """Whether a transformer's first attention takes its keys from the text, judging by the widths."""
    keys = shapes.get(f"{prefix}{transformer}.transformer_blocks.0.attn1.to_k.weight", ())
    return len(keys) == 2 and keys[1] == context_width != channels


def _transformers(shapes: Mapping[str, Shape], prefix: str) -> Iterator[str]:
    ending = ".transformer_blocks.0.attn2.to_k.weight"
    return (name[len(prefix) : -len(ending)] for name in shapes if name.startswith(prefix) and name.endswith(ending))


def _not_found(shapes: Mapping[str, Shape], prefix: str, name: str) -> str:
    mine = [key for key in shapes if key.startswith(prefix)]
    if not mine:
        found = f"none of its {len(shapes)} tensors is named {prefix}*"
    else:
        found = f"{len(mine)} tensors, {', '.join(sorted(mine)[:3])}{' …' if len(mine) > 3 else ''}"
    return f"not a Stable Diffusion U-Net: no tensor {prefix}{name} (found {found})"
