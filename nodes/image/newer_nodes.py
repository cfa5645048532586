"""Common picture nodes of current templates: resize, batch, compare, tiles, crop by box, save in more formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

from graph.context import Context
from graph.input_groups import ChoiceWithInputs, GrowingInputs
from graph.node import ExtraPngInfo, Listed, Named, Prompt, Range, SameAs, Socket, node
from graph.results import NodeResult
from graph.schema import Input
from nodes.types import Image, Latent, Mask, Tensor

_LARGEST: Final = 16384
_METHODS: Final = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
_MOST: Final = 50

BoundingBox = Annotated[dict[str, int], Socket("BOUNDING_BOX")]
"""{x, y, width, height} in pixels."""
_SIDES: Final = ("x", "y", "width", "height")
_DEFAULT_BOX: Final = {"x": 0, "y": 0, "width": 512, "height": 512}
Images = Annotated[Sequence[Tensor], Socket("IMAGE")]


def _side(name: str, default: int = 512, minimum: int = 0) -> Input:
    return Input(name, "INT", default=default, minimum=minimum, maximum=_LARGEST, step=1, parameter=name)


def _number(name: str, default: float, minimum: float, maximum: float, step: float = 0.01) -> Input:
    return Input(name, "FLOAT", default=default, minimum=minimum, maximum=maximum, step=step, parameter=name)


def _choice(name: str, *choices: str, default: str | None = None) -> Input:
    first = choices[0] if default is None else default
    return Input(name, "COMBO", default=first, choices=choices, combo_object=True, parameter=name)


_CROP: Final = _choice("crop", "disabled", "center", default="center")
_MULTIPLE: Final = Input("multiple", "INT", default=1, minimum=1, maximum=_LARGEST, step=1, parameter="multiple")
_RESIZE: Final = ChoiceWithInputs(
    "resize_type",
    {
        "scale dimensions": (_side("width"), _side("height"), _CROP),
        "scale by multiplier": (_number("multiplier", 1.0, 0.01, 8.0),),
        "scale longer dimension": (_side("longer_size"),),
        "scale shorter dimension": (_side("shorter_size"),),
        "scale width": (_side("width"),),
        "scale height": (_side("height"),),
        "scale total pixels": (_number("megapixels", 1.0, 0.01, 16.0), _MULTIPLE),
        "match size": (Input("match", "IMAGE,MASK", parameter="match"), _CROP),
        "scale to multiple": (
            Input("multiple", "INT", default=8, minimum=1, maximum=_LARGEST, step=1, parameter="multiple"),
        ),
    },
)


@node(
    "ResizeImageMaskNode",
    display_name="Resize Image/Mask",
    category="image/transform",
    inputs=[
        Input("input", "IMAGE,MASK", parameter="input"),
        _RESIZE,
        _choice("scale_method", *_METHODS, default="area"),
    ],
)
def resize_image_mask(
    *, input: Tensor, scale_method: str, **groups: Any
) -> Annotated[Any, Socket("IMAGE,MASK"), Named("resized"), SameAs("input")]:
    """Resize pictures or masks by one of nine rules: sides, a factor, megapixels, another picture's size.

    Raises SizeError for an empty size.
    """
    from nodes.image.resizing import resized

    return resized(input, groups["resize_type"], scale_method)


@node(
    "BatchImagesNode",
    display_name="Batch Images",
    category="image",
    inputs=[GrowingInputs.numbered("images", Input("image", "IMAGE", parameter="image"), "image", _MOST)],
)
def batch_images(**groups: Any) -> Image:
    """Join pictures as one batch; later ones are resized and cropped to the first."""
    from nodes.image.batches import joined_images

    return joined_images(list(groups["images"].values()))


@node(
    "BatchMasksNode",
    display_name="Batch Masks",
    category="mask",
    inputs=[GrowingInputs.numbered("masks", Input("mask", "MASK", parameter="mask"), "mask", _MOST)],
)
def batch_masks(**groups: Any) -> Mask:
    """Join masks as one batch; later ones are resized and cropped to the first."""
    from nodes.image.batches import joined_masks

    return joined_masks(list(groups["masks"].values()))


@node(
    "BatchLatentsNode",
    display_name="Batch Latents",
    category="latent",
    inputs=[GrowingInputs.numbered("latents", Input("latent", "LATENT", parameter="latent"), "latent", _MOST)],
)
def batch_latents(**groups: Any) -> Latent:
    """Join latents as one batch; later ones are resized and cropped to the first.

    Raises BatchError for latents of different channels.
    """
    from nodes.image.batches import joined_latents

    result: Any = joined_latents(list(groups["latents"].values()))
    return result


@node(
    "BatchImagesMasksLatentsNode",
    display_name="Batch Images/Masks/Latents",
    category="utilities",
    inputs=[GrowingInputs.numbered("inputs", Input("input", "IMAGE,MASK,LATENT", parameter="input"), "input", _MOST)],
)
def batch_any(**groups: Any) -> Annotated[Any, Socket("IMAGE,MASK,LATENT"), Named("batch"), SameAs("inputs.input0")]:
    """Join pictures, masks or latents, all of one kind, as one batch. Raises BatchError for different kinds."""
    from nodes.image.batches import joined

    return joined(list(groups["inputs"].values()))


@node("ImageCompare", display_name="Image Compare", category="image", output_node=True)
def image_compare(
    *,
    image_a: Image | None = None,
    image_b: Image | None = None,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Show two pictures over one another, to compare them; they go to the temp folder."""
    from nodes.pictures.saving import save_preview

    shown = {}
    for name, images in (("a_images", image_a), ("b_images", image_b)):
        files = [] if images is None else save_preview(context, images, prompt=prompt, extra_pnginfo=extra_pnginfo)
        shown[name] = [file.as_ui() for file in files]
    return NodeResult(ui=shown)


_SAVE_MODE: Final = ChoiceWithInputs(
    "save_mode",
    {
        "still images": (),
        "animated": (
            _number("fps", 6.0, 0.01, 1000.0),
            Input("loop_count", "INT", default=0, minimum=0, maximum=65535, step=1, parameter="loop_count"),
        ),
    },
)
_FORMAT: Final = ChoiceWithInputs(
    "format",
    {
        "png": (_choice("bit_depth", "8-bit", "16-bit"), _choice("input_color_space", "sRGB")),
        "exr": (_choice("bit_depth", "32-bit float"), _choice("input_color_space", "sRGB", "HDR", "linear")),
        "avif": (
            _choice("bit_depth", "auto", "8-bit YUV420", "10-bit YUV420"),
            _choice("input_color_space", "sRGB", "HDR", "HDR PQ"),
            Input("crf", "INT", default=18, minimum=1, maximum=63, step=1, parameter="crf"),
            _SAVE_MODE,
        ),
    },
)


class Saved(NamedTuple):
    images: Image


@node(
    "SaveImageAdvanced",
    display_name="Save Image (Advanced)",
    category="image",
    output_node=True,
    inputs=[
        Input("images", "IMAGE", parameter="images"),
        Input("filename_prefix", "STRING", default="ComfyUI", parameter="filename_prefix"),
        _FORMAT,
    ],
)
def save_image_advanced(
    *,
    images: Image,
    filename_prefix: str = "ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
    **groups: Any,
) -> Saved:
    """Save pictures as PNG with 8 or 16 bits, as OpenEXR, or as AVIF, still or animated, with the workflow inside.

    Raises OutputFileError for settings that the libraries here do not offer.
    """
    from nodes.image.advanced_saving import save

    files = save(context, images, filename_prefix, groups["format"], prompt, extra_pnginfo)
    result: Any = NodeResult((images,), ui={"images": [file.as_ui() for file in files]})
    return result


@node("PrimitiveBoundingBox", display_name="Bounding Box", category="utils/primitive", environment=False)
def primitive_bounding_box(
    *,
    x: Annotated[int, Range(0, _LARGEST)] = 0,
    y: Annotated[int, Range(0, _LARGEST)] = 0,
    width: Annotated[int, Range(1, _LARGEST)] = 512,
    height: Annotated[int, Range(1, _LARGEST)] = 512,
) -> BoundingBox:
    """Provide a rectangle in pixels: its top left corner and its sides."""
    return {"x": x, "y": y, "width": width, "height": height}


@node("ImageCropV2", display_name="Crop Image", category="image/transform")
def image_crop_v2(*, image: Image, crop_region: BoundingBox = _DEFAULT_BOX) -> Image:
    """Crop pictures to a rectangle; parts beyond their edges are left out.

    Raises SizeError if the rectangle lacks a side or a side is not a number.
    """
    from nodes.image.arrange import crop
    from nodes.resize import SizeError

    if not isinstance(crop_region, dict) or not all(isinstance(crop_region.get(side), (int, float)) for side in _SIDES):
        raise SizeError(f"crop_region is {crop_region!r}; expected a rectangle with {', '.join(_SIDES)} in pixels")
    x, y = max(0, int(crop_region["x"])), max(0, int(crop_region["y"]))
    return crop(image, max(1, int(crop_region["width"])), max(1, int(crop_region["height"])), x, y)


_Tile = Annotated[int, Range(64, _LARGEST, 8)]
_Overlap = Annotated[int, Range(0, 4096, 8)]


@node("SplitImageToTileList", display_name="Split Image to Tile List", category="image/transform")
def split_image_to_tile_list(
    *, image: Image, tile_width: _Tile = 1024, tile_height: _Tile = 1024, overlap: _Overlap = 128
) -> Annotated[Images, Listed, Named("IMAGE")]:
    """Cut pictures into overlapping tiles, row by row; the nodes after it run once for each tile."""
    from nodes.image.tile_list import split

    return split(image, tile_width, tile_height, overlap)


@node("ImageMergeTileList", display_name="Merge Image Tile List", category="image/transform", input_is_list=True)
def image_merge_tile_list(
    *,
    image_list: Images,
    final_width: Annotated[Any, Socket("INT"), Range(64, 32768)] = 1024,
    final_height: Annotated[Any, Socket("INT"), Range(64, 32768)] = 1024,
    overlap: Annotated[Any, Socket("INT"), Range(0, 4096)] = 128,
) -> Image:
    """Join a list of tiles to one picture, with feathered seams. Raises SizeError if their number does not fit."""
    from nodes.image.tile_list import merged

    return merged(image_list, final_width[0], final_height[0], overlap[0])
