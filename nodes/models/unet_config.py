"""The structure of a Stable Diffusion U-Net, read from the shapes of its tensors.

This is plain data without torch, so a checkpoint's header can be checked
without loading anything. The networks of SD1, SD2 and SDXL have one architecture
(Rombach et al., arXiv:2112.10752; Podell et al., arXiv:2307.01952) in different
sizes, which follow from the tensors' shapes. Only the number of attention heads
comes from the family (:mod:`nodes.models.families`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

Shape = tuple[int, ...]

HEAD_WIDTH = 64
HEADS_WITH_CONVOLUTIONS = 8


@dataclass(frozen=True)
class UNetConfig:
    """The sizes of one U-Net. The defaults are SD1.5's.

    ``channel_mult`` and ``res_blocks`` have one entry for each level, from full resolution
    downwards. ``input_depth`` and ``output_depth`` give the number of transformer
    layers after each residual block (0: no attention), in running order; in the output half, a level
    has one residual block more than in the input half.
    ``middle_depth`` None: the middle is a single residual block (SSD-1B). ``has_middle`` False: there is no middle
    (KOALA-700M). ``adm_in_channels`` is the width of the vector that is passed with the text;
    ``classes`` is the number of class labels instead of a vector. ``text_only`` has one entry for each level: True if
    both attentions of a transformer layer attend to the text; empty means on no level.
    ``head_count`` None: heads are 64 channels wide after linear projections; there are 8 after convolutions.
    """

    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: tuple[int, ...] = (2, 2, 2, 2)
    input_depth: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 0, 0)
    middle_depth: int | None = 1
    has_middle: bool = True
    output_depth: tuple[int, ...] = (0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    context_width: int = 768
    adm_in_channels: int | None = None
    classes: int | None = None
    linear_projections: bool = False
    text_only: tuple[bool, ...] = ()
    head_count: int | None = None

    def __post_init__(self) -> None:
        levels, down, up = len(self.channel_mult), sum(self.res_blocks), sum(n + 1 for n in self.res_blocks)
        if (len(self.res_blocks), len(self.input_depth), len(self.output_depth)) != (levels, down, up):
            raise ValueError(
                f"{levels} levels with {self.res_blocks} residual blocks need {down} input and {up} output depths, "
                f"not {len(self.input_depth)} and {len(self.output_depth)}"
            )
        if self.text_only and len(self.text_only) != levels:
            raise ValueError(f"text_only has {len(self.text_only)} entries for {levels} levels")

    @property
    def embedding_width(self) -> int:
        """Return the width of the timestep embedding, an input of every residual block."""
        return 4 * self.model_channels

    def heads(self, channels: int) -> int:
        """Return the number of attention heads on a level with that many channels."""
        if self.head_count is not None:
            return self.head_count
        return channels // HEAD_WIDTH if self.linear_projections else HEADS_WITH_CONVOLUTIONS

    @cached_property
    def parameters(self) -> int:
        return sum(prod(shape) for shape in expected_shapes(self).values())


SD1 = UNetConfig()
SD2 = UNetConfig(context_width=1024, linear_projections=True)
SDXL = UNetConfig(
    channel_mult=(1, 2, 4),
    res_blocks=(2, 2, 2),
    input_depth=(0, 0, 2, 2, 10, 10),
    middle_depth=10,
    output_depth=(10, 10, 10, 2, 2, 2, 0, 0, 0),
    context_width=2048,
    adm_in_channels=2816,
    linear_projections=True,
)
SSD_1B = replace(
    SDXL,
    input_depth=(0, 0, 2, 2, 4, 4),
    middle_depth=None,
    output_depth=(4, 4, 10, 2, 1, 1, 0, 0, 0),
)
VEGA = replace(
    SDXL,
    input_depth=(0, 0, 1, 1, 2, 2),
    middle_depth=None,
    output_depth=(2, 2, 2, 1, 1, 1, 0, 0, 0),
)
KOALA_1B = replace(
    SDXL,
    res_blocks=(1, 1, 1),
    input_depth=(0, 2, 6),
    middle_depth=6,
    output_depth=(6, 6, 2, 2, 0, 0),
)
KOALA_700M = replace(
    KOALA_1B, input_depth=(0, 2, 5), middle_depth=None, has_middle=False, output_depth=(5, 5, 2, 2, 0, 0)
)
SD2_UPSCALER = UNetConfig(
    in_channels=7,
    model_channels=256,
    channel_mult=(1, 2, 2, 4),
    input_depth=(0, 0, 1, 1, 1, 1, 1, 1),
    output_depth=(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0),
    context_width=1024,
    classes=1000,
    linear_projections=True,
    text_only=(False, True, True, False),
    head_count=8,
)
SDXL_REFINER = UNetConfig(
    model_channels=384,
    input_depth=(0, 0, 4, 4, 4, 4, 0, 0),
    middle_depth=4,
    output_depth=(0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0),
    context_width=1280,
    adm_in_channels=2560,
    linear_projections=True,
)


@dataclass(frozen=True)
class Convolution:
    in_channels: int
    out_channels: int


@dataclass(frozen=True)
class Residual:
    in_channels: int
    out_channels: int


@dataclass(frozen=True)
class Transformer:
    channels: int
    depth: int
    text_only: bool = False
    """Whether both attentions of each layer attend to the text."""


@dataclass(frozen=True)
class Downsample:
    channels: int


@dataclass(frozen=True)
class Upsample:
    channels: int


Part = Convolution | Residual | Transformer | Downsample | Upsample
Block = tuple[Part, ...]


@dataclass(frozen=True)
class Layout:
    """The parts of a U-Net in the order in which they run; part k of input block i is ``input_blocks.i.k``.

    Every input block's output is a skip connection; the output blocks take them in
    reverse order.
    """

    input_blocks: tuple[Block, ...]
    middle_block: Block
    output_blocks: tuple[Block, ...]


def layout(config: UNetConfig) -> Layout:
    """Return every part of the network with its channels."""
    levels = len(config.channel_mult)
    text_only = config.text_only or (False,) * levels
    widths = [config.model_channels * mult for mult in config.channel_mult]

    channels = config.model_channels
    down: list[Block] = [(Convolution(config.in_channels, channels),)]
    skips = [channels]
    depths = iter(config.input_depth)
    for level, width in enumerate(widths):
        for _ in range(config.res_blocks[level]):
            down.append((Residual(channels, width), *_transformer(width, next(depths), text_only[level])))
            skips.append(width)
            channels = width
        if level < levels - 1:
            down.append((Downsample(channels),))
            skips.append(channels)

    middle: Block = (Residual(channels, channels),) if config.has_middle else ()
    if config.has_middle and config.middle_depth is not None:
        middle = (*middle, *_transformer(channels, config.middle_depth), Residual(channels, channels))

    up: list[Block] = []
    depths = iter(config.output_depth)
    for level in reversed(range(levels)):
        for block in range(config.res_blocks[level] + 1):
            parts = (
                Residual(channels + skips.pop(), widths[level]),
                *_transformer(widths[level], next(depths), text_only[level]),
            )
            channels = widths[level]
            last = block == config.res_blocks[level]
            up.append((*parts, Upsample(channels)) if last and level > 0 else parts)
    return Layout(tuple(down), middle, tuple(up))


def _transformer(channels: int, depth: int, text_only: bool = False) -> Block:
    return (Transformer(channels, depth, text_only),) if depth else ()


def expected_shapes(config: UNetConfig) -> dict[str, Shape]:
    """Return name (LDM's, without a prefix) and shape of every tensor of the network."""
    shapes = encoder_shapes(config)
    for index, block in enumerate(layout(config).output_blocks):
        shapes.update(_block(f"output_blocks.{index}", block, config))
    shapes.update(_norm("out.0", config.model_channels))
    shapes.update(_affine("out.2", (config.out_channels, config.model_channels, 3, 3)))
    return shapes


def encoder_shapes(config: UNetConfig) -> dict[str, Shape]:
    """Return name and shape of every tensor of the encoder half: embeddings, input and middle blocks."""
    parts = layout(config)
    width = config.embedding_width
    shapes: dict[str, Shape] = {}
    shapes.update(_affine("time_embed.0", (width, config.model_channels)))
    shapes.update(_affine("time_embed.2", (width, width)))
    if config.adm_in_channels is not None:
        shapes.update(_affine("label_emb.0.0", (width, config.adm_in_channels)))
        shapes.update(_affine("label_emb.0.2", (width, width)))
    if config.classes is not None:
        shapes["label_emb.weight"] = (config.classes, width)
    for index, block in enumerate(parts.input_blocks):
        shapes.update(_block(f"input_blocks.{index}", block, config))
    shapes.update(_block("middle_block", parts.middle_block, config))
    return shapes


def skip_widths(config: UNetConfig) -> list[int]:
    """Return the channels of each skip connection, in the order of the input blocks."""
    return [width for width, _ in skips(config)]


def skips(config: UNetConfig) -> list[tuple[int, int]]:
    """Return the channels of each skip connection, and the factor by which its sides are smaller than the latent's."""
    found = []
    factor = 1
    for block in layout(config).input_blocks:
        last = block[-1]
        if isinstance(last, Downsample):
            factor *= 2
        found.append((last.out_channels if isinstance(last, Convolution | Residual) else last.channels, factor))
    return found


def _block(name: str, block: Block, config: UNetConfig) -> Iterator[tuple[str, Shape]]:
    for index, part in enumerate(block):
        yield from _part(f"{name}.{index}", part, config)


def _part(name: str, part: Part, config: UNetConfig) -> Iterator[tuple[str, Shape]]:
    match part:
        case Convolution(in_channels, out_channels):
            yield from _affine(name, (out_channels, in_channels, 3, 3))
        case Residual(in_channels, out_channels):
            yield from _norm(f"{name}.in_layers.0", in_channels)
            yield from _affine(f"{name}.in_layers.2", (out_channels, in_channels, 3, 3))
            yield from _affine(f"{name}.emb_layers.1", (out_channels, config.embedding_width))
            yield from _norm(f"{name}.out_layers.0", out_channels)
            yield from _affine(f"{name}.out_layers.3", (out_channels, out_channels, 3, 3))
            if in_channels != out_channels:
                yield from _affine(f"{name}.skip_connection", (out_channels, in_channels, 1, 1))
        case Transformer(channels, depth, text_only):
            projection: Shape = (channels, channels) if config.linear_projections else (channels, channels, 1, 1)
            yield from _norm(f"{name}.norm", channels)
            yield from _affine(f"{name}.proj_in", projection)
            for layer in range(depth):
                yield from _transformer_layer(
                    f"{name}.transformer_blocks.{layer}", channels, config.context_width, text_only
                )
            yield from _affine(f"{name}.proj_out", projection)
        case Downsample(channels):
            yield from _affine(f"{name}.op", (channels, channels, 3, 3))
        case Upsample(channels):
            yield from _affine(f"{name}.conv", (channels, channels, 3, 3))


def _transformer_layer(name: str, channels: int, context_width: int, text_only: bool) -> Iterator[tuple[str, Shape]]:
    for attention, width in (("attn1", context_width if text_only else channels), ("attn2", context_width)):
        yield f"{name}.{attention}.to_q.weight", (channels, channels)
        yield f"{name}.{attention}.to_k.weight", (channels, width)
        yield f"{name}.{attention}.to_v.weight", (channels, width)
        yield from _affine(f"{name}.{attention}.to_out.0", (channels, channels))
    yield from _affine(f"{name}.ff.net.0.proj", (8 * channels, channels))
    yield from _affine(f"{name}.ff.net.2", (channels, 4 * channels))
    for norm in ("norm1", "norm2", "norm3"):
        yield from _norm(f"{name}.{norm}", channels)


def _affine(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _norm(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    return _affine(name, (channels,))
