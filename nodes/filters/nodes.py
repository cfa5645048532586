"""The nodes that filter pictures."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from graph.node import Choices, Range, node
from nodes.types import Image, Seed

Radius = Annotated[int, Range(1, 31, 1)]
Fraction = Annotated[float, Range(0.0, 1.0, 0.01)]
Threshold = Annotated[float, Range(0.01, 0.99, 0.01)]
Side = Annotated[int, Range(1, 16384, 1)]

BLEND = Choices(("normal", "multiply", "screen", "overlay", "soft_light", "difference"), as_object=True)
DITHER = Choices(("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"), as_object=True)
MORPHOLOGY = Choices(("erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"), as_object=True)


class Planes(NamedTuple):
    Y: Image
    U: Image
    V: Image


@node("ImageBlend", display_name=None, category="image/postprocessing")
def image_blend(
    *, image1: Image, image2: Image, blend_factor: Fraction = 0.5, blend_mode: Annotated[str, BLEND]
) -> Image:
    """Blend two pictures with a mode of image editors; the second is scaled to the first's size."""
    from nodes.filters import blend

    return blend.blend(image1, image2, blend_factor, blend_mode)


@node("ImageBlur", display_name=None, category="image/postprocessing")
def image_blur(*, image: Image, blur_radius: Radius = 1, sigma: Annotated[float, Range(0.1, 10.0, 0.1)] = 1.0) -> Image:
    """Blur with a Gaussian; ``sigma`` is relative to the radius. Raises SizeError."""
    from nodes import gaussian

    weights = gaussian.kernel(blur_radius, sigma)
    return gaussian.convolve(image.movedim(-1, 1), weights).movedim(1, -1)


@node("ImageSharpen", display_name=None, category="image/postprocessing")
def image_sharpen(
    *,
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Range(0.1, 10.0, 0.01)] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, 0.01)] = 1.0,
) -> Image:
    """Sharpen by subtracting a blur of the picture; ``sigma`` is relative to the radius. Raises SizeError."""
    from nodes import gaussian

    weights = gaussian.sharpening_kernel(sharpen_radius, sigma, alpha)
    return gaussian.convolve(image.movedim(-1, 1), weights).movedim(1, -1).clamp(0.0, 1.0)


@node("ImageQuantize", display_name=None, category="image/postprocessing")
def image_quantize(
    *, image: Image, colors: Annotated[int, Range(1, 256, 1)] = 256, dither: Annotated[str, DITHER]
) -> Image:
    """Reduce a picture to a small palette made from its own colours, with or without dithering."""
    from nodes.filters import quantize

    return quantize.quantize(image, colors, dither)


@node("Morphology", display_name="ImageMorphology", category="image/postprocessing")
def image_morphology(
    *, image: Image, operation: Annotated[str, MORPHOLOGY], kernel_size: Annotated[int, Range(3, 999, 1)] = 3
) -> Image:
    """Grow (dilate) or shrink (erode) bright areas by a square, or apply an operation made of both."""
    from nodes.filters import morphology

    return morphology.morphology(image, operation, kernel_size)


@node("Canny", display_name=None, category="image/preprocessors")
def canny(*, image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8) -> Image:
    """Draw the edges of a picture as white lines, the form that ControlNets expect."""
    from nodes.filters import edges

    return edges.canny(image, low_threshold, high_threshold)


@node("ImageRGBToYUV", display_name=None, category="image/batch")
def image_rgb_to_yuv(*, image: Image) -> Planes:
    """Split a picture into brightness (Y) and two colour differences (U, V), as grey pictures."""
    from nodes.filters import color

    return Planes(*color.to_yuv(image))


@node("ImageYUVToRGB", display_name=None, category="image/batch")
def image_yuv_to_rgb(*, Y: Image, U: Image, V: Image) -> Image:
    """Combine brightness and colour differences to a picture."""
    from nodes.filters import color

    return color.from_yuv(Y, U, V)


@node("ImageAddNoise", category="image")
def image_add_noise(*, image: Image, seed: Seed = 0, strength: Fraction = 0.5) -> Image:
    """Add Gaussian noise with a seed; ``strength`` is its standard deviation."""
    import torch

    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + strength * noise.to(image)).clamp(0.0, 1.0)
