"""What a Stable Diffusion U-Net looks like, read from the shapes of its tensors.

Plain data: nothing here needs torch, so a checkpoint's header can be judged
without loading anything. The network of SD1, SD2 and SDXL is one architecture
(Rombach et al., arXiv:2112.10752; Podell et al., arXiv:2307.01952) in different
sizes, and its size follows from its tensors' shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from graph.errors import SumiError

Shape = tuple[int, ...]

HEAD_WIDTH = 64
HEADS_WITH_CONVOLUTIONS = 8


class UnknownUNetError(SumiError):
    """The tensors are not those of a Stable Diffusion U-Net; says what was found and what was sought."""


@dataclass(frozen=True)
class UNetConfig:
    """The sizes of one U-Net. The defaults are those of SD1.5.

    ``channel_mult`` and ``res_blocks`` have one entry a level, from full resolution
    downwards. ``input_depth`` and ``output_depth`` give the number of transformer
    layers behind each residual block (0: no attention there), in the order in which
    they run; on the way up a level has one residual block more than on the way down.
    ``middle_depth`` None stands for a middle that is a single residual block.
    """

    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: tuple[int, ...] = (2, 2, 2, 2)
    input_depth: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 0, 0)
    middle_depth: int | None = 1
    output_depth: tuple[int, ...] = (0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    context_width: int = 768
    adm_in_channels: int | None = None
    linear_projections: bool = False

    def __post_init__(self) -> None:
        levels, down, up = len(self.channel_mult), sum(self.res_blocks), sum(n + 1 for n in self.res_blocks)
        if (len(self.res_blocks), len(self.input_depth), len(self.output_depth)) != (levels, down, up):
            raise ValueError(
                f"{levels} levels with {self.res_blocks} residual blocks need {down} input and {up} output depths, "
                f"not {len(self.input_depth)} and {len(self.output_depth)}"
            )

    @property
    def embedding_width(self) -> int:
        """Width of the timestep embedding that every residual block is given."""
        return 4 * self.model_channels

    def heads(self, channels: int) -> int:
        """Attention heads at a level of that many channels; the tensors' shapes do not tell."""
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
    """Every part of the network with its channels."""
    levels = len(config.channel_mult)
    widths = [config.model_channels * mult for mult in config.channel_mult]

    channels = config.model_channels
    down: list[Block] = [(Convolution(config.in_channels, channels),)]
    skips = [channels]
    depths = iter(config.input_depth)
    for level, width in enumerate(widths):
        for _ in range(config.res_blocks[level]):
            down.append((Residual(channels, width), *_transformer(width, next(depths))))
            skips.append(width)
            channels = width
        if level < levels - 1:
            down.append((Downsample(channels),))
            skips.append(channels)

    middle: Block = (Residual(channels, channels),)
    if config.middle_depth is not None:
        middle = (*middle, *_transformer(channels, config.middle_depth), Residual(channels, channels))

    up: list[Block] = []
    depths = iter(config.output_depth)
    for level in reversed(range(levels)):
        for block in range(config.res_blocks[level] + 1):
            parts = (
                Residual(channels + skips.pop(), widths[level]),
                *_transformer(widths[level], next(depths)),
            )
            channels = widths[level]
            last = block == config.res_blocks[level]
            up.append((*parts, Upsample(channels)) if last and level > 0 else parts)
    return Layout(tuple(down), middle, tuple(up))


def _transformer(channels: int, depth: int) -> Block:
    return (Transformer(channels, depth),) if depth else ()


def expected_shapes(config: UNetConfig) -> dict[str, Shape]:
    """Name and shape of every tensor of the network, in the checkpoint's own (LDM) names without a prefix."""
    parts = layout(config)
    width = config.embedding_width
    shapes: dict[str, Shape] = {}

    def add(named: Iterator[tuple[str, Shape]]) -> None:
        shapes.update(named)

    add(_affine("time_embed.0", (width, config.model_channels)))
    add(_affine("time_embed.2", (width, width)))
    if config.adm_in_channels is not None:
        add(_affine("label_emb.0.0", (width, config.adm_in_channels)))
        add(_affine("label_emb.0.2", (width, width)))
    for index, block in enumerate(parts.input_blocks):
        add(_block(f"input_blocks.{index}", block, config))
    add(_block("middle_block", parts.middle_block, config))
    for index, block in enumerate(parts.output_blocks):
        add(_block(f"output_blocks.{index}", block, config))
    add(_norm("out.0", config.model_channels))
    add(_affine("out.2", (config.out_channels, config.model_channels, 3, 3)))
    return shapes


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
        case Transformer(channels, depth):
            projection: Shape = (channels, channels) if config.linear_projections else (channels, channels, 1, 1)
            yield from _norm(f"{name}.norm", channels)
            yield from _affine(f"{name}.proj_in", projection)
            for layer in range(depth):
                yield from _transformer_layer(f"{name}.transformer_blocks.{layer}", channels, config.context_width)
            yield from _affine(f"{name}.proj_out", projection)
        case Downsample(channels):
            yield from _affine(f"{name}.op", (channels, channels, 3, 3))
        case Upsample(channels):
            yield from _affine(f"{name}.conv", (channels, channels, 3, 3))


def _transformer_layer(name: str, channels: int, context_width: int) -> Iterator[tuple[str, Shape]]:
    for attention, width in (("attn1", channels), ("attn2", context_width)):
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


def detect_unet(shapes: Mapping[str, Shape], prefix: str = "") -> UNetConfig:
    """The U-Net that tensors of these shapes make up.

    ``shapes`` may hold other tensors too; only names that start with ``prefix``
    (``model.diffusion_model.`` in a full checkpoint) are looked at. What this does
    not look at (a missing bias, say) shows when ``expected_shapes`` of the result is
    compared with the file.

    Raises:
        UnknownUNetError: no U-Net of this family, with what was missing or unfit.
    """

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

    def has(name: str) -> bool:
        return prefix + name in shapes

    model_channels, in_channels, *_ = shape("input_blocks.0.0.weight", 4)
    out_channels = shape("out.2.weight", 4)[0]
    if has("label_emb.weight"):
        raise UnknownUNetError(
            f"not a U-Net of SD1, SD2 or SDXL: {prefix}label_emb.weight is an embedding of class numbers"
        )

    widths: list[int] = []
    res_blocks: list[int] = []
    input_depth: list[int] = []
    index = 1
    level_open = False
    while has(f"input_blocks.{index}.0.in_layers.0.weight") or has(f"input_blocks.{index}.0.op.weight"):
        name = f"input_blocks.{index}"
        if has(f"{name}.0.op.weight"):
            level_open = False
        else:
            if not level_open:
                widths.append(shape(f"{name}.0.out_layers.3.weight", 4)[0])
                res_blocks.append(0)
                level_open = True
            res_blocks[-1] += 1
            input_depth.append(_depth(has, f"{name}.1"))
        index += 1
    if not widths:
        raise UnknownUNetError(_not_found(shapes, prefix, "input_blocks.1.0.in_layers.0.weight"))
    mults = [width // model_channels for width in widths]
    if any(mult * model_channels != width or mult == 0 for mult, width in zip(mults, widths, strict=True)):
        raise UnknownUNetError(
            f"not a Stable Diffusion U-Net: levels of {widths} channels are no multiples of the first, {model_channels}"
        )

    shape("middle_block.0.in_layers.0.weight", 1)
    middle_depth = _depth(has, "middle_block.1") if has("middle_block.1.norm.weight") else None
    if middle_depth is None and has("middle_block.1.in_layers.0.weight"):
        middle_depth = 0
    output_depth = [_depth(has, f"output_blocks.{block}.1") for block in range(sum(n + 1 for n in res_blocks))]

    transformer = next((name for name in _transformers(shapes, prefix)), None)
    if transformer is None:
        raise UnknownUNetError(
            f"not a Stable Diffusion U-Net: no cross-attention ({prefix}*.transformer_blocks.0.attn2.to_k.weight)"
        )
    context_width = shape(f"{transformer}.transformer_blocks.0.attn2.to_k.weight", 2)[1]
    projection = shapes.get(f"{prefix}{transformer}.proj_in.weight", ())
    if len(projection) not in (2, 4):
        shape(f"{transformer}.proj_in.weight", 4)
    return UNetConfig(
        in_channels=in_channels,
        out_channels=out_channels,
        model_channels=model_channels,
        channel_mult=tuple(mults),
        res_blocks=tuple(res_blocks),
        input_depth=tuple(input_depth),
        middle_depth=middle_depth,
        output_depth=tuple(output_depth),
        context_width=context_width,
        adm_in_channels=shape("label_emb.0.0.weight", 2)[1] if has("label_emb.0.0.weight") else None,
        linear_projections=len(projection) == 2,
    )


def _depth(has: Callable[[str], bool], transformer: str) -> int:
    depth = 0
    while has(f"{transformer}.transformer_blocks.{depth}.norm1.weight"):
        depth += 1
    return depth


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
