"""The nodes that make, grow, feather, composite and convert masks."""

from __future__ import annotations

from typing import Annotated, Literal

from graph.context import Context
from graph.node import Choices, ExtraPngInfo, Hint, Prompt, Range, node
from graph.results import NodeResult
from nodes.input_files import ImageFile, image_content, image_is_there
from nodes.types import Image, ImageAndMask, Mask

Side = Annotated[int, Range(1, 16384, 1)]
Offset = Annotated[int, Range(0, 16384, 1)]
Value = Annotated[float, Range(0.0, 1.0, 0.01)]
Color = Annotated[int, Range(0, 0xFFFFFF, 1), Hint(display="color")]

PORTER_DUFF = (
    *("ADD", "CLEAR", "DARKEN", "DST", "DST_ATOP", "DST_IN", "DST_OUT", "DST_OVER", "LIGHTEN"),
    *("MULTIPLY", "OVERLAY", "SCREEN", "SRC", "SRC_ATOP", "SRC_IN", "SRC_OUT", "SRC_OVER", "XOR"),
)


@node(
    "LoadImageMask",
    display_name="Load Image (as Mask)",
    category="mask",
    fingerprint=image_content,
    validate=image_is_there,
)
def load_image_mask(
    *,
    image: ImageFile,
    channel: Literal["alpha", "red", "green", "blue"],
    context: Context,
) -> Mask:
    """Load one channel of a picture as a mask; alpha is inverted, so 1 is transparent.

    Raises InputFileError if the file is missing or not a picture.
    """
    from nodes.pictures import loading

    return loading.load_channel(context.folders.annotated(image), channel)


@node("SolidMask", category="mask")
def solid_mask(*, value: Value = 1.0, width: Side = 512, height: Side = 512) -> Mask:
    """Make a mask with one value."""
    from nodes.mask import shape

    return shape.solid(value, width, height)


@node("InvertMask", category="mask")
def invert_mask(*, mask: Mask) -> Mask:
    """Invert a mask: 1 - mask."""
    return 1.0 - mask


@node("CropMask", category="mask")
def crop_mask(*, mask: Mask, x: Offset = 0, y: Offset = 0, width: Side = 512, height: Side = 512) -> Mask:
    """Cut a window out of a mask; parts beyond its edges are left out."""
    from nodes.mask import shape

    return shape.crop(mask, x, y, width, height)


@node("MaskComposite", category="mask")
def mask_composite(
    *,
    destination: Mask,
    source: Mask,
    x: Offset = 0,
    y: Offset = 0,
    operation: Literal["multiply", "add", "subtract", "and", "or", "xor"],
) -> Mask:
    """Place one mask on another and combine them by arithmetic or logic."""
    from nodes.mask import shape

    return shape.combine(destination, source, x, y, operation)


@node("FeatherMask", category="mask")
def feather_mask(*, mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0) -> Mask:
    """Fade a mask out over a number of pixels towards each edge."""
    from nodes.mask import shape

    return shape.feather(mask, left, top, right, bottom)


@node("GrowMask", category="mask")
def grow_mask(*, mask: Mask, expand: Annotated[int, Range(-16384, 16384, 1)] = 0, tapered_corners: bool = True) -> Mask:
    """Grow a mask by a number of pixels, or shrink it; tapered corners turn points into diamonds instead of squares."""
    from nodes.mask import shape

    return shape.grow(mask, expand, tapered_corners)


@node("ThresholdMask", category="mask")
def threshold_mask(*, mask: Mask, value: Value = 0.5) -> Mask:
    """Set the mask to 1 where it is above the value, else to 0."""
    return (mask > value).float()


@node("MaskToImage", display_name="Convert Mask to Image", category="mask")
def mask_to_image(*, mask: Mask) -> Image:
    """Convert a mask to a grey picture."""
    from nodes.mask import pictures

    return pictures.to_image(mask)


@node("ImageToMask", display_name="Convert Image to Mask", category="mask")
def image_to_mask(*, image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """Convert one channel of a picture to a mask, unchanged.

    Raises SizeError for alpha if the picture has none.
    """
    from nodes.mask import pictures

    return pictures.from_channel(image, channel)


@node("ImageColorToMask", category="mask")
def image_color_to_mask(*, image: Image, color: Color = 0) -> Mask:
    """Make a mask that is 1 where a picture has exactly one colour, given as the number 0xRRGGBB."""
    from nodes.mask import pictures

    return pictures.from_color(image, color)


@node("MaskPreview", category="mask", output_node=True)
def mask_preview(
    *, mask: Mask, prompt: Prompt = None, extra_pnginfo: ExtraPngInfo = None, context: Context
) -> NodeResult:
    """Show a mask as a picture without saving it; it is only in the temp folder."""
    from nodes.mask import pictures
    from nodes.pictures import saving

    files = saving.save_preview(context, pictures.to_image(mask), prompt=prompt, extra_pnginfo=extra_pnginfo)
    return NodeResult(ui={"images": [file.as_ui() for file in files]})


@node("JoinImageWithAlpha", display_name="Join Image with Alpha", category="mask/compositing")
def join_image_with_alpha(*, image: Image, alpha: Mask) -> Image:
    """Make a picture transparent where the mask is 1; the mask is resized to the picture."""
    from nodes.mask import pictures

    return pictures.join_alpha(image, alpha)


@node("SplitImageWithAlpha", display_name="Split Image with Alpha", category="mask/compositing")
def split_image_with_alpha(*, image: Image) -> ImageAndMask:
    """Split transparency from a picture, as a mask that is 1 where it is transparent."""
    from nodes.mask import pictures

    return ImageAndMask(*pictures.split_alpha(image))


@node("PorterDuffImageComposite", display_name="Porter-Duff Image Composite", category="mask/compositing")
def porter_duff_image_composite(
    *,
    source: Image,
    source_alpha: Mask,
    destination: Image,
    destination_alpha: Mask,
    mode: Annotated[str, Choices(PORTER_DUFF, as_object=True)] = "DST",
) -> ImageAndMask:
    """Combine two transparent pictures with a Porter-Duff operator; masks are 1 where pictures are transparent."""
    from nodes.mask import porter_duff

    return ImageAndMask(*porter_duff.composite(source, source_alpha, destination, destination_alpha, mode))
