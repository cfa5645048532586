"""The nodes that prepare pictures and masks for inpainting."""

from __future__ import annotations

from typing import Annotated

from graph.node import Range, node
from nodes.mask.nodes import Side
from nodes.types import Image, Mask


@node("BlurMask", display_name="Blur Mask", category="mask")
def blur_mask(*, mask: Mask, sigma: Annotated[float, Range(0.0, 256.0, 0.5)] = 4.0) -> Mask:
    """Blur a mask by a Gaussian; ``sigma`` is its standard deviation in pixels."""
    from nodes.mask import inpainting

    return inpainting.blur_mask(mask, sigma)


@node("FillMaskedArea", display_name="Fill Masked Area", category="image")
def fill_masked_area(*, image: Image, mask: Mask) -> Image:
    """Fill the masked part of pictures with a blur of the colours around it, so that sampling starts without it."""
    from nodes.mask import inpainting

    return inpainting.filled(image, mask)


@node("ResizeAndFillImage", display_name="Resize and Fill Image", category="image/transform")
def resize_and_fill_image(*, image: Image, width: Side = 512, height: Side = 512) -> Image:
    """Scale a complete picture to fit a size, and continue its edges to the sides that are left."""
    from nodes.mask import inpainting

    return inpainting.fit_and_fill(image, width, height)
