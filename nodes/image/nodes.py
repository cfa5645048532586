"""The nodes that load, save, make, scale, crop, batch and composite pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

from graph.content import content_hash
from graph.context import Context
from graph.folders import Folders
from graph.node import AddedLater, Choices, ExtraPngInfo, Hint, Listed, Prompt, Range, Socket, UniqueId, node
from graph.results import NodeResult
from nodes.input_files import ImageFile, image_content, image_is_there, is_there
from nodes.types import Image, ImageAndMask, Mask, Tensor

Side = Annotated[int, Range(1, 16384, 1)]
Offset = Annotated[int, Range(0, 16384, 1)]
Margin = Annotated[int, Range(0, 16384, 8)]
Count = Annotated[int, Range(1, 4096)]
Crop = Literal["disabled", "center"]

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
Method = Annotated[str, Choices(METHODS)]


Images = Annotated[Sequence[Tensor], Socket("IMAGE")]
"""A list of pictures, for nodes with list inputs or outputs."""


class Size(NamedTuple):
    width: int
    height: int
    batch_size: int


@node("LoadImage", display_name="Load Image", category="image", fingerprint=image_content, validate=image_is_there)
def load_image(*, image: ImageFile, context: Context) -> ImageAndMask:
    """Load a picture; its transparency becomes the mask, 1 where it is transparent.

    An animation becomes a batch. Without transparency, the mask is 64×64 zeros.
    Raises InputFileError if the file is missing or not a picture.
    """
    from nodes.pictures import loading

    return ImageAndMask(*loading.load_image(context.folders.annotated(image)))


def _output_content(image: str, folders: Folders) -> str:
    return content_hash(folders.annotated(image, "output"))


def _output_is_there(image: str, folders: Folders) -> bool | str:
    return is_there(folders, image, "output")


_OUTPUT_LIST = {
    "route": "/internal/files/output",
    "refresh_button": True,
    "control_after_refresh": "first",
}


@node(
    "LoadImageOutput",
    display_name="Load Image (from Outputs)",
    category="image",
    fingerprint=_output_content,
    validate=_output_is_there,
    experimental=True,
)
def load_image_output(
    *,
    image: Annotated[str, Socket("COMBO"), Hint(image_upload=True, image_folder="output", remote=_OUTPUT_LIST)],
    context: Context,
) -> ImageAndMask:
    """Load a picture from the output folder, like Load Image."""
    from nodes.pictures import loading

    return ImageAndMask(*loading.load_image(context.folders.annotated(image, "output")))


@node("SaveImage", display_name="Save Image", category="image", output_node=True)
def save_image(
    *,
    images: Image,
    filename_prefix: str = "ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save each picture as a PNG in the output folder, with the workflow inside.

    Raises OutputFileError if it cannot be written; no partial file is left behind.
    """
    from nodes.pictures import saving

    files = saving.save_png(context, images, prefix=filename_prefix, prompt=prompt, extra_pnginfo=extra_pnginfo)
    return NodeResult(ui={"images": [file.as_ui() for file in files]})


@node("PreviewImage", display_name="Preview Image", category="image", output_node=True)
def preview_image(
    *, images: Image, prompt: Prompt = None, extra_pnginfo: ExtraPngInfo = None, context: Context
) -> NodeResult:
    """Show the pictures without saving them; they are only in the temp folder."""
    from nodes.pictures import saving

    files = saving.save_preview(context, images, prompt=prompt, extra_pnginfo=extra_pnginfo)
    return NodeResult(ui={"images": [file.as_ui() for file in files]})


Fps = Annotated[float, Range(0.01, 1000.0, 0.01)]


@node("SaveAnimatedPNG", category="image/animation", output_node=True)
def save_animated_png(
    *,
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: Fps = 6.0,
    compress_level: Annotated[int, Range(0, 9)] = 4,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save a batch as one animated PNG in the output folder, with the workflow inside."""
    from nodes.image import animation

    files = animation.save_apng(
        context,
        images,
        prefix=filename_prefix,
        fps=fps,
        compress_level=compress_level,
        prompt=prompt,
        extra_pnginfo=extra_pnginfo,
    )
    return NodeResult(ui={"images": [file.as_ui() for file in files], "animated": [True]})


@node("SaveAnimatedWEBP", category="image/animation", output_node=True)
def save_animated_webp(
    *,
    images: Image,
    filename_prefix: str = "ComfyUI",
    fps: Fps = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Range(0, 100)] = 80,
    method: Literal["default", "fastest", "slowest"],
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save a batch as one animated WebP in the output folder, with the workflow inside."""
    from nodes.image import animation

    files = animation.save_webp(
        context,
        images,
        prefix=filename_prefix,
        fps=fps,
        lossless=lossless,
        quality=quality,
        method={"default": 4, "fastest": 0, "slowest": 6}[method],
        prompt=prompt,
        extra_pnginfo=extra_pnginfo,
    )
    return NodeResult(ui={"images": [file.as_ui() for file in files], "animated": [True]})


def _always_changed() -> float:
    """Return NaN, which never equals itself, so that every run sends the pictures."""
    return float("nan")


@node("SaveImageWebsocket", category="api/image", output_node=True, fingerprint=_always_changed)
def save_image_websocket(*, images: Image, context: Context) -> NodeResult:
    """Send the pictures to the client as PNG previews, without writing a file."""
    from nodes.pictures import saving

    for number, image in enumerate(images, start=1):
        context.progress(number, len(images), partial(saving.png_preview, image))
    return NodeResult()


@node("EmptyImage", category="image")
def empty_image(
    *,
    width: Side = 512,
    height: Side = 512,
    batch_size: Count = 1,
    color: Annotated[int, Range(0, 0xFFFFFF, 1), Hint(display="color")] = 0,
) -> Image:
    """Make a picture of one colour, given as the number 0xRRGGBB."""
    from nodes.image import arrange

    return arrange.empty(width, height, batch_size, color)


@node("ImageInvert", display_name="Invert Image", category="image")
def image_invert(*, image: Image) -> Image:
    """Invert every colour: 1 - image."""
    return 1.0 - image


@node("ImageBatch", display_name="Batch Images", category="image")
def image_batch(*, image1: Image, image2: Image) -> Image:
    """Join two batches of pictures; the second is scaled and cropped to the first's size."""
    from nodes.image import arrange

    return arrange.join(image1, image2)


@node("ImagePadForOutpaint", display_name="Pad Image for Outpainting", category="image")
def image_pad_for_outpaint(
    *,
    image: Image,
    left: Margin = 0,
    top: Margin = 0,
    right: Margin = 0,
    bottom: Margin = 0,
    feathering: Offset = 40,
) -> ImageAndMask:
    """Add grey margins for the sampler to paint, and a mask of them that fades into the picture."""
    from nodes.image import arrange

    return ImageAndMask(*arrange.pad_for_outpaint(image, left, top, right, bottom, feathering))


@node("ImageCompositeMasked", category="image")
def image_composite_masked(
    *,
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: Annotated[bool, AddedLater] = False,
    mask: Mask | None = None,
) -> Image:
    """Paste one picture onto another where the mask is 1; the mask is resized to the source."""
    from nodes.image import arrange

    return arrange.paste(destination, source, x, y, mask, resize_source)


@node("GetImageSize", display_name="Get Image Size", category="image")
def get_image_size(*, image: Image, unique_id: UniqueId, context: Context) -> Size:
    """Return width and height of the pictures in pixels, and their number."""
    batch_size, height, width = image.shape[:3]
    context.show_text(f"width: {width}, height: {height}\nbatch size: {batch_size}")
    return Size(width, height, batch_size)


@node("ImageScale", display_name="Upscale Image", category="image/upscaling")
def image_scale(
    *,
    image: Image,
    upscale_method: Method,
    width: Offset = 512,
    height: Offset = 512,
    crop: Crop,
) -> Image:
    """Scale pictures to a size; a side of 0 follows from the other."""
    from nodes.image import sizes
    from nodes.pictures.fitting import scale

    if width == 0 and height == 0:
        return image
    return scale(image, *sizes.follow(image, width, height), upscale_method, crop)


@node("ImageScaleBy", display_name="Upscale Image By", category="image/upscaling")
def image_scale_by(
    *, image: Image, upscale_method: Method, scale_by: Annotated[float, Range(0.01, 8.0, 0.01)] = 1.0
) -> Image:
    """Scale pictures by a factor."""
    from nodes.image import sizes
    from nodes.pictures.fitting import scale

    return scale(image, *sizes.times(image, scale_by), upscale_method)


@node("ImageScaleToMaxDimension", category="image/upscaling")
def image_scale_to_max_dimension(
    *,
    image: Image,
    upscale_method: Annotated[str, Choices(("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"))],
    largest_size: Offset = 512,
) -> Image:
    """Scale pictures so that their longer side is ``largest_size`` pixels."""
    from nodes.image import sizes
    from nodes.pictures.fitting import scale

    return scale(image, *sizes.of_longest_side(image, largest_size), upscale_method)


@node("ImageScaleToTotalPixels", display_name=None, category="image/upscaling")
def image_scale_to_total_pixels(
    *,
    image: Image,
    upscale_method: Annotated[str, Choices(METHODS, as_object=True)],
    megapixels: Annotated[float, Range(0.01, 16.0, 0.01)] = 1.0,
    resolution_steps: Annotated[int, Range(1, 256), AddedLater] = 1,
) -> Image:
    """Scale pictures to a total number of pixels, in units of 1024 × 1024, keeping their aspect ratio.

    The sides are rounded to multiples of ``resolution_steps``.
    """
    from nodes.image import sizes
    from nodes.pictures.fitting import scale

    return scale(image, *sizes.of_megapixels(image, megapixels, resolution_steps), upscale_method)


@node("ImageCrop", display_name="Image Crop", category="image/transform")
def image_crop(*, image: Image, width: Side = 512, height: Side = 512, x: Offset = 0, y: Offset = 0) -> Image:
    """Cut a window out of pictures; parts beyond their edges are left out."""
    from nodes.image import arrange

    return arrange.crop(image, width, height, x, y)


@node("ImageFlip", category="image/transform")
def image_flip(*, image: Image, flip_method: Literal["x-axis: vertically", "y-axis: horizontally"]) -> Image:
    """Mirror pictures top to bottom (x-axis) or left to right (y-axis)."""
    return image.flip(1 if flip_method.startswith("x") else 2)


@node("ImageRotate", category="image/transform")
def image_rotate(*, image: Image, rotation: Literal["none", "90 degrees", "180 degrees", "270 degrees"]) -> Image:
    """Turn pictures clockwise by quarter turns."""
    return image.rot90(("none", "90 degrees", "180 degrees", "270 degrees").index(rotation), (2, 1)).contiguous()


@node("ImageStitch", display_name="Image Stitch", category="image/transform")
def image_stitch(
    *,
    image1: Image,
    direction: Literal["right", "down", "left", "up"] = "right",
    match_image_size: bool = True,
    spacing_width: Annotated[int, Range(0, 1024, 2)] = 0,
    spacing_color: Literal["white", "black", "red", "green", "blue"] = "white",
    image2: Image | None = None,
) -> Image:
    """Put a second picture beside, above or below the first."""
    if image2 is None:
        return image1
    from nodes.image import arrange

    return arrange.stitch(image1, image2, direction, match_image_size, spacing_width, spacing_color)


@node("ImageFromBatch", category="image/batch")
def image_from_batch(*, image: Image, batch_index: Annotated[int, Range(0, 4095)] = 0, length: Count = 1) -> Image:
    """Take pictures out of a batch."""
    from nodes.image import arrange

    return arrange.take(image, batch_index, length)


@node("RepeatImageBatch", category="image/batch")
def repeat_image_batch(*, image: Image, amount: Count = 1) -> Image:
    """Repeat a batch of pictures."""
    from nodes.allocation import check_fits

    check_fits(f"{amount} copies of a picture", (amount, *image.shape))
    return image.repeat(amount, 1, 1, 1)


@node("RebatchImages", display_name="Rebatch Images", category="image/batch", input_is_list=True)
def rebatch_images(*, images: Images, batch_size: Count = 1) -> Annotated[Images, Listed]:
    """Regroup batches of pictures into batches of one length, as a list.

    Raises SizeError if pictures in a batch would have different sizes.
    """
    from nodes.image import arrange

    return arrange.rebatch(images, batch_size[0])  # type: ignore[index]


@node("ResizeAndPadImage", category="image/transform")
def resize_and_pad_image(
    *,
    image: Image,
    target_width: Side = 512,
    target_height: Side = 512,
    padding_color: Literal["white", "black"],
    interpolation: Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"],
) -> Image:
    """Scale a complete picture to fit a size, and fill the rest with white or black."""
    from nodes.image import arrange

    return arrange.fit_into(image, target_width, target_height, padding_color, interpolation)
