"""The structure of a Stable Diffusion autoencoder, read from the shapes of its tensors.

This is plain data without torch. The network is the KL-regularised autoencoder of latent
diffusion (Rombach et al., arXiv:2112.10752), with the tensor names of its original code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graph.errors import SumiError

Shape = tuple[int, ...]

NORM_GROUPS = 32


class UnknownVaeError(SumiError):
    """The tensors do not form a Stable Diffusion autoencoder. The message gives what was found and expected."""


@dataclass(frozen=True)
class VaeConfig:
    """The sizes of one autoencoder. The defaults are for SD1, SD2 and SDXL.

    ``encoder_widths`` and ``decoder_widths`` are the channels of each level, from full resolution
    downwards; ``*_blocks`` is the number of residual blocks in each.
    """

    encoder_widths: tuple[int, ...] = (128, 256, 512, 512)
    encoder_blocks: int = 2
    decoder_widths: tuple[int, ...] = (128, 256, 512, 512)
    decoder_blocks: int = 3
    latent_channels: int = 4
    """Channels of a latent, between quant_conv and post_quant_conv."""
    inner_channels: int = 4
    """Channels on the network's side of those two convolutions."""
    image_channels: int = 3

    @property
    def factor(self) -> int:
        """The number of pixels per latent pixel along each side."""
        return 2 ** (len(self.decoder_widths) - 1)


def expected_shapes(config: VaeConfig) -> dict[str, Shape]:
    """Return name, without a prefix, and shape of every tensor of the network."""
    return dict(_tensors(config))


def _tensors(config: VaeConfig) -> Iterator[tuple[str, Shape]]:
    latent, inner, image = config.latent_channels, config.inner_channels, config.image_channels
    yield from _convolution("quant_conv", 2 * inner, 2 * latent, 1)
    yield from _convolution("post_quant_conv", latent, inner, 1)

    widths = config.encoder_widths
    yield from _convolution("encoder.conv_in", image, widths[0], 3)
    channels = widths[0]
    for level, width in enumerate(widths):
        for block in range(config.encoder_blocks):
            yield from _residual(f"encoder.down.{level}.block.{block}", channels, width)
            channels = width
        if level < len(widths) - 1:
            yield from _convolution(f"encoder.down.{level}.downsample.conv", width, width, 3)
    yield from _middle("encoder.mid", channels)
    yield from _affine("encoder.norm_out", (channels,))
    yield from _convolution("encoder.conv_out", channels, 2 * inner, 3)

    widths = config.decoder_widths
    channels = widths[-1]
    yield from _convolution("decoder.conv_in", inner, channels, 3)
    yield from _middle("decoder.mid", channels)
    for level in reversed(range(len(widths))):
        for block in range(config.decoder_blocks):
            yield from _residual(f"decoder.up.{level}.block.{block}", channels, widths[level])
            channels = widths[level]
        if level > 0:
            yield from _convolution(f"decoder.up.{level}.upsample.conv", channels, channels, 3)
    yield from _affine("decoder.norm_out", (channels,))
    yield from _convolution("decoder.conv_out", channels, image, 3)


def _middle(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    yield from _residual(f"{name}.block_1", channels, channels)
    yield from _affine(f"{name}.attn_1.norm", (channels,))
    for projection in ("q", "k", "v", "proj_out"):
        yield from _convolution(f"{name}.attn_1.{projection}", channels, channels, 1)
    yield from _residual(f"{name}.block_2", channels, channels)


def _residual(name: str, in_channels: int, out_channels: int) -> Iterator[tuple[str, Shape]]:
    yield from _affine(f"{name}.norm1", (in_channels,))
    yield from _convolution(f"{name}.conv1", in_channels, out_channels, 3)
    yield from _affine(f"{name}.norm2", (out_channels,))
    yield from _convolution(f"{name}.conv2", out_channels, out_channels, 3)
    if in_channels != out_channels:
        yield from _convolution(f"{name}.nin_shortcut", in_channels, out_channels, 1)


def _convolution(name: str, in_channels: int, out_channels: int, kernel: int) -> Iterator[tuple[str, Shape]]:
    return _affine(name, (out_channels, in_channels, kernel, kernel))


def _affine(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def detect_vae(shapes: Mapping[str, Shape], prefix: str = "") -> VaeConfig:
    """Detect the autoencoder from the shapes of its tensors.

    Only names that start with ``prefix`` (``first_stage_model.`` in a full checkpoint) are used; ``shapes`` may hold
    others. Not all tensors are checked; compare :func:`expected_shapes` of the result with the file.
    Raises UnknownVaeError naming the missing or unexpected tensor.
    """

    def shape(name: str) -> Shape:
        found = shapes.get(prefix + name)
        if found is None:
            raise UnknownVaeError(f"not a Stable Diffusion VAE: no tensor {prefix}{name}")
        if len(found) != 4:
            raise UnknownVaeError(
                f"not a Stable Diffusion VAE: {prefix}{name} is {list(found)}, expected a 2D convolution's kernel"
            )
        return found

    def widths(name: str) -> tuple[int, ...]:
        levels = _count(shapes, prefix + name + ".{}.block.0.conv1.weight")
        found = tuple(shape(f"{name}.{level}.block.0.conv1.weight")[0] for level in range(levels))
        if not found:
            shape(f"{name}.0.block.0.conv1.weight")
        unfit = [width for width in found if width == 0 or width % NORM_GROUPS]
        if unfit:
            raise UnknownVaeError(
                f"not a Stable Diffusion VAE: {unfit[0]} channels in {prefix}{name}, "
                f"expected a multiple of {NORM_GROUPS}"
            )
        return found

    config = VaeConfig(
        encoder_widths=widths("encoder.down"),
        encoder_blocks=_count(shapes, prefix + "encoder.down.0.block.{}.conv1.weight"),
        decoder_widths=widths("decoder.up"),
        decoder_blocks=_count(shapes, prefix + "decoder.up.0.block.{}.conv1.weight"),
        latent_channels=shape("post_quant_conv.weight")[1],
        inner_channels=shape("decoder.conv_in.weight")[1],
        image_channels=shape("decoder.conv_out.weight")[0],
    )
    if len(config.encoder_widths) != len(config.decoder_widths):
        raise UnknownVaeError(
            f"not a Stable Diffusion VAE: {len(config.encoder_widths)} levels in the encoder, "
            f"{len(config.decoder_widths)} in the decoder"
        )
    return config


def _count(shapes: Mapping[str, Shape], pattern: str) -> int:
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number
