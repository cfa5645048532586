"""Latents: make, scale, batch, composite, mask, keep in files."""

from __future__ import annotations

from typing import Annotated

from graph.node import Range, node
from nodes.types import Latent

Pixels = Annotated[int, Range(16, 16384, 8)]


@node("EmptyLatentImage", display_name="Empty Latent Image", category="latent")
def empty_latent_image(
    *, width: Pixels = 512, height: Pixels = 512, batch_size: Annotated[int, Range(1, 4096)] = 1
) -> Latent:
    """A blank latent for the sampler to fill: zeros [batch_size, 4, height // 8, width // 8].

    Sizes that are not multiples of 8 are rounded down. Raises TooLargeError.
    """
    from nodes.latent import empty

    return {"samples": empty.empty_samples(width, height, batch_size)}
