"""Masks: make, grow, feather, composite, to and from pictures."""

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
    """Reads one channel of a picture as a mask; of alpha, 1 is where nothing is seen.

    Raises InputFileError if the file is missing or no picture.
    """
    from nodes.pictures import loading

    return loading.load_channel(context.folders.annotated(image), channel)


@node("SolidMask", category="mask")
def solid_mask(*, value: Value = 1.0, width: Side = 512, height: Side = 512) -> Mask:
    """A mask of one value."""
    from nodes.mask import shape

    return shape.solid(value, width, height)


@node("InvertMask", category="mask")
def invert_mask(*, mask: Mask) -> Mask:
    """Swaps what is masked and what is not: 1 - mask."""
    return 1.0 - mask


@node("CropMask", category="mask")
def crop_mask(*, mask: Mask, x: Offset = 0, y: Offset = 0, width: Side = 512, height: Side = 512) -> Mask:
    """Cuts a window out of a mask; what lies beyond its edges is left off."""
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
    """Lays one mask on another and combines them by arithmetic or logic."""
    from nodes.mask import shape

    return shape.combine(destination, source, x, y, operation)


@node("FeatherMask", category="mask")
def feather_mask(*, mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0) -> Mask:
    """Fades a mask out towards its edges, over so many pixels each."""
    from nodes.mask import shape

    return shape.feather(mask, left, top, right, bottom)


@node("GrowMask", category="mask")
def grow_mask(*, mask: Mask, expand: Annotated[int, Range(-16384, 16384, 1)] = 0, tapered_corners: bool = True) -> Mask:
    """Grows a mask by so many pixels, or shrinks it; tapered corners grow to diamonds, not squares."""
    from nodes.mask import shape

    return shape.grow(mask, expand, tapered_corners)


@node("ThresholdMask", category="mask")
def threshold_mask(*, mask: Mask, value: Value = 0.5) -> Mask:
    """1 where the mask is above the value, else 0."""
    return (mask > value).float()


@node("MaskToImage", display_name="Convert Mask to Image", category="mask")
def mask_to_image(*, mask: Mask) -> Image:
    """A mask as a grey picture."""
    from nodes.mask import pictures

    return pictures.to_image(mask)


@node("ImageToMask", display_name="Convert Image to Mask", category="mask")
def image_to_mask(*, image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """One channel of a picture as a mask, as it is.

    Raises SizeError for the alpha of a picture that has none.
    """
    from nodes.mask import pictures

    return pictures.from_channel(image, channel)


@node("ImageColorToMask", category="mask")
def image_color_to_mask(*, image: Image, color: Color = 0) -> Mask:
    """1 where a picture has exactly one colour, given as the number 0xRRGGBB."""
    from nodes.mask import pictures

    return pictures.from_color(image, color)


@node("MaskPreview", category="mask", output_node=True)
def mask_preview(
    *, mask: Mask, prompt: Prompt = None, extra_pnginfo: ExtraPngInfo = None, context: Context
) -> NodeResult:
    """Shows a mask as a picture without keeping it: it goes to the temp folder."""
    from nodes.mask import pictures
    from nodes.pictures import saving

    files = saving.save_preview(context, pictures.to_image(mask), prompt=prompt, extra_pnginfo=extra_pnginfo)
    return NodeResult(ui={"images": [file.as_ui() for file in files]})


@node("JoinImageWithAlpha", display_name="Join Image with Alpha", category="mask/compositing")
def join_image_with_alpha(*, image: Image, alpha: Mask) -> Image:
    """Gives a picture transparency where the mask is 1; the mask is stretched to the picture."""
    from nodes.mask import pictures

    return pictures.join_alpha(image, alpha)


@node("SplitImageWithAlpha", display_name="Split Image with Alpha", category="mask/compositing")
def split_image_with_alpha(*, image: Image) -> ImageAndMask:
    """Takes transparency off a picture, as a mask that is 1 where nothing is seen."""
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
    """Combines two transparent pictures by a Porter-Duff operator; masks are 1 where nothing is seen."""
    from nodes.mask import porter_duff

    return ImageAndMask(*porter_duff.composite(source, source_alpha, destination, destination_alpha, mode))
