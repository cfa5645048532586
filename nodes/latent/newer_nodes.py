"""Common latent nodes of current templates."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graph.node import Range, node
from nodes.types import Latent


class PixelSize(NamedTuple):
    width: int
    height: int


@node("GetLatentSize", display_name="Get Latent Size", category="latent")
def get_latent_size(*, samples: Latent) -> PixelSize:
    """Return the width and height in pixels of a latent's picture.

    A latent position has as many pixels as the latent's ``downscale_ratio_spacial`` says, and 8 if it has no such
    entry. Latents for the SD2 4× upscaler have 4, but only SD_4XUpscale_Conditioning marks them.
    """
    height, width = samples["samples"].shape[-2:]
    pixels = samples.get("downscale_ratio_spacial") or 8
    return PixelSize(width * pixels, height * pixels)


@node("LatentCutToBatch", display_name="Latent Cut To Batch", category="latent/advanced")
def latent_cut_to_batch(
    *, samples: Latent, dim: Literal["t", "x", "y"], slice_size: Annotated[int, Range(1, 16384)] = 1
) -> Latent:
    """Cut a latent and its noise mask into slices along an axis, and join these as a batch.

    An incomplete last slice is dropped. Slices are at most as long as the side. A latent of pictures has no time axis
    and is passed through unchanged for "t".
    """
    from nodes.latent.slices import cut_to_batch

    return cut_to_batch(samples, dim, slice_size)
