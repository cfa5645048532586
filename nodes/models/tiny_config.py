"""The tiny autoencoder for fast previews (TAESD, MIT, https://github.com/madebyollin/taesd), read from tensor shapes.

Its encoder and its decoder are in two files, ``taesd_encoder`` and ``taesd_decoder``, whose tensors are named by
the numbers of the layers. diffusers keeps both in one file, as ``encoder.layers.0`` and ``decoder.layers.0``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from graph.errors import SumiError

Shape = tuple[int, ...]
Half = Literal["encoder", "decoder"]

BLOCKS: Final = 3
"""Residual blocks of each level."""
STEPS: Final = 3
"""Levels by which the sides are halved."""

ENCODER_PREFIX, DECODER_PREFIX = "taesd_encoder.", "taesd_decoder."
_DIFFUSERS: Final = re.compile(r"^(encoder|decoder)\.layers\.(\d+)\.(.+)$")


class UnknownTinyError(SumiError):
    """The tensors are not those of a tiny autoencoder. The message says which is missing or wrong."""


@dataclass(frozen=True)
class TinyConfig:
    """The sizes of one half of a tiny autoencoder."""

    half: Half
    latent_channels: int = 4
    width: int = 64
    image_channels: int = 3


def detect_tiny(shapes: Mapping[str, Shape], half: Half, prefix: str = "") -> TinyConfig:
    """Return the half of a tiny autoencoder with tensors of these shapes. Raises UnknownTinyError for other tensors."""
    last = len(layers(TinyConfig(half))) - 1
    first, end = ("0", str(last)) if half == "encoder" else ("1", str(last))
    found = [shapes.get(f"{prefix}{name}.weight", ()) for name in (first, end)]
    if any(len(shape) != 4 for shape in found):
        raise UnknownTinyError(f"not a tiny autoencoder's {half}: no tensor {prefix}{first}.weight or {end}.weight")
    (width, inner, *_), (outer, *_) = found
    latent, image = (outer, inner) if half == "encoder" else (inner, outer)
    return TinyConfig(half, latent, width, image)


def layers(config: TinyConfig) -> list[tuple[str, int, int]]:
    """Return the layers in order, each with its input and output channels.

    Kinds: ``conv``, ``halve`` and ``plain`` (convolutions, the latter two without bias, the first of stride 2),
    ``block``, and ``clamp``, ``relu``, ``double`` without weights.
    """
    width, latent, image = config.width, config.latent_channels, config.image_channels
    if config.half == "encoder":
        found = [("conv", image, width), ("block", width, width)]
        for _ in range(STEPS):
            found += [("halve", width, width), *[("block", width, width)] * BLOCKS]
        return [*found, ("conv", width, latent)]
    found = [("clamp", latent, latent), ("conv", latent, width), ("relu", width, width)]
    for _ in range(STEPS):
        found += [*[("block", width, width)] * BLOCKS, ("double", width, width), ("plain", width, width)]
    return [*found, ("block", width, width), ("conv", width, image)]


def expected_shapes(config: TinyConfig) -> dict[str, Shape]:
    """Return the shape of every tensor by its name without prefix."""
    return dict(_tensors(config))


def _tensors(config: TinyConfig) -> Iterator[tuple[str, Shape]]:
    for number, (kind, inner, outer) in enumerate(layers(config)):
        if kind == "block":
            for index in (0, 2, 4):
                yield f"{number}.conv.{index}.weight", (outer, outer, 3, 3)
                yield f"{number}.conv.{index}.bias", (outer,)
        elif kind in ("conv", "halve", "plain"):
            yield f"{number}.weight", (outer, inner, 3, 3)
            if kind == "conv":
                yield f"{number}.bias", (outer,)


def original_tiny_names(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of tensors in diffusers' layout to the two-file names; other names are unchanged.

    diffusers counts the decoder's layers without the clamp at its beginning.
    """
    listed = list(names)
    if not {"encoder.layers.0.weight", "decoder.layers.0.weight"} <= set(listed):
        return {name: name for name in listed}
    found = {}
    for name in listed:
        match = _DIFFUSERS.match(name)
        if match is None:
            found[name] = name
        else:
            prefix, offset = (ENCODER_PREFIX, 0) if match[1] == "encoder" else (DECODER_PREFIX, 1)
            found[name] = f"{prefix}{int(match[2]) + offset}.{match[3]}"
    return found
