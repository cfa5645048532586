"""Cards and tables of autoencoders and their files."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nodes.drawing.bars import Bar, Bars
from nodes.drawing.card import Text, caption, card
from nodes.drawing.colours import DIVERGING, SEQUENTIAL, ColourBar, amounts, limit_of, signed
from nodes.drawing.film import Film, Row
from nodes.drawing.table import Table
from nodes.explain.extraction import Part
from nodes.explain.vae_look import VaeLook


def vae_card(look: VaeLook) -> tuple[Tensor, list[Table]]:
    """Return the card of a picture's way through a VAE, and the tables of sizes and of the latent's channels."""
    limit, spread = limit_of(look.mean), limit_of(look.deviation)
    largest = limit_of(look.difference)
    channels = range(1, len(look.mean) + 1)
    cropped = look.uncropped != (look.picture.shape[1], look.picture.shape[0])
    picture = card(
        "VAE",
        Text(f"{_size(look.picture)} → {_size(look.mean.permute(1, 2, 0))}", bold=True),
        Text(f"{look.ratio:.4g}× fewer numbers"),
        *([caption(_cropping(look))] if cropped else []),
        Film(
            ["picture", "reconstruction", "difference"],
            [Row("", [look.picture, look.decoded, amounts(look.difference, 0, largest)])],
            smooth=True,
        ),
        ColourBar(SEQUENTIAL, "difference 0", f"{255 * largest:.3g} of 255 or more"),
        Film(
            [f"channel {number}" for number in channels],
            [
                Row("The latent: the encoder's mean", [signed(channel, limit) for channel in look.mean]),
                Row(
                    "The encoder's spread around it",
                    [amounts(channel, 0, spread) for channel in look.deviation],
                    [f"± {float(channel.mean()):.2g}" for channel in look.deviation],
                ),
            ],
            columns=4,
        ),
        ColourBar(DIVERGING, f"mean −{limit:.3g} or less", f"{limit:.3g} or more", "0"),
        ColourBar(SEQUENTIAL, "spread 0", f"{spread:.2g} or more"),
        caption(
            "The encoder gives each place of the latent a mean and a spread. A small spread says that the latent is "
            "almost exact. The reconstruction is decoded from the mean."
        ),
    )
    sizes = Table(
        ["what", "size", "numbers"],
        [
            ["picture", _sides(look.picture), f"{look.picture.numel():,}"],
            ["latent", _sides(look.mean.permute(1, 2, 0)), f"{look.mean.numel():,}"],
            ["ratio", "", f"{look.ratio:.4g}×"],
            ["mean difference, of 255", "", f"{255 * float(look.difference.mean()):.3f}"],
            ["PSNR, dB", "", f"{look.psnr:.2f}"],
        ],
    )
    rows = [
        [
            str(number),
            f"{float(mean.mean()):.4f}",
            f"{float(mean.std(correction=0)):.4f}",
            f"{float(mean.min()):.3f}",
            f"{float(mean.max()):.3f}",
            f"{float(deviation.mean()):.3g}",
        ]
        for number, mean, deviation in zip(channels, look.mean, look.deviation, strict=True)
    ]
    return picture, [sizes, Table(["channel", "mean", "std", "min", "max", "encoder's spread"], rows)]


def extraction_card(parts: Sequence[Part], file: str) -> tuple[Tensor, Table]:
    """Return the card and the table of a checkpoint's parts; ``file`` is the name of the VAE's new file."""
    whole = sum(part.bytes for part in parts) or 1
    bars = [Bar(part.name, part.bytes, f"{part.megabytes:,.1f} MB, {100 * part.bytes / whole:.1f}%") for part in parts]
    text = caption(f"The VAE's tensors are in {file}, without their prefix. Load VAE and other programs open it.")
    table = Table(
        ["part", "tensors", "numbers", "MB"],
        [[part.name, f"{part.tensors:,}", f"{part.numbers:,}", f"{part.megabytes:,.2f}"] for part in parts],
    )
    return card("Parts of a checkpoint", Bars(bars, whole), text), table


def _cropping(look: VaeLook) -> str:
    width, height = look.uncropped
    return (
        f"The picture is {width}×{height} pixels and was cropped to {look.picture.shape[1]}×{look.picture.shape[0]}, "
        f"around its centre: sizes are multiples of {look.factor}."
    )


def _size(tensor: Tensor) -> str:
    return f"{_sides(tensor)} = {tensor.numel():,}"


def _sides(tensor: Tensor) -> str:
    """Write the shape of [height, width, channels] as width × height × channels."""
    height, width, channels = tensor.shape
    return f"{width}×{height}×{channels}"
