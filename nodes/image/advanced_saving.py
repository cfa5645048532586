"""Saves pictures in formats of more depth or less size than Save Image: PNG with 8 or 16 bits, OpenEXR, AVIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from PIL import features
from torch import Tensor

from graph.context import Context
from graph.errors import OutputFileError
from graph.results import SavedFile
from nodes.image.deep_formats import REC_2020, linear_from_hlg, linear_from_srgb, write_exr, write_png16
from nodes.pictures import metadata
from nodes.pictures.pixels import PixelError, to_pillow
from nodes.pictures.saving import save_png
from nodes.saving import Writer, save_files


def save(
    context: Context, images: Tensor, prefix: str, choice: Mapping[str, Any], prompt: Any, extra_pnginfo: Any
) -> list[SavedFile]:
    """Save ``images`` [B, H, W, C] in the format of ``choice``: its ``format`` and that format's settings.

    OpenEXR files are scene-linear. The colours of sRGB pictures are converted from its curve, those of HDR pictures
    from hybrid log-gamma with Rec. 2020 primaries (ITU-R BT.2100), which the file names; linear ones are kept.
    Raises OutputFileError for settings that the libraries here do not offer, PixelError.
    """
    kind = choice["format"]
    if kind == "png":
        if choice["bit_depth"] == "8-bit":
            return save_png(context, images, prefix=prefix, prompt=prompt, extra_pnginfo=extra_pnginfo)
        texts = metadata.texts(prompt, extra_pnginfo)
        return _each(context, images, prefix, ".png", lambda file, picture: write_png16(file, picture, texts))
    if kind == "exr":
        texts = metadata.texts(prompt, extra_pnginfo)
        space = choice["input_color_space"]

        def write(file: BinaryIO, picture: Tensor) -> None:
            colours = picture.expand(*picture.shape[:2], 3) if picture.shape[-1] == 1 else picture
            if space == "HDR":
                write_exr(file, linear_from_hlg(colours), texts, REC_2020)
            else:
                write_exr(file, linear_from_srgb(colours) if space == "sRGB" else colours, texts)

        return _each(context, images, prefix, ".exr", write)
    return _save_avif(context, images, prefix, choice, metadata.webp_exif(prompt, extra_pnginfo))


def _save_avif(context: Context, images: Tensor, prefix: str, choice: Mapping[str, Any], exif: Any) -> list[SavedFile]:
    if choice["bit_depth"] == "10-bit YUV420" or choice["input_color_space"] != "sRGB":
        raise OutputFileError(
            f"AVIF with {choice['bit_depth']} and {choice['input_color_space']} is not supported here: the library "
            "writes 8-bit YUV420 in sRGB; choose these, or exr for more depth"
        )
    if not features.check("avif"):
        raise OutputFileError("AVIF is not supported by the installed Pillow; install Pillow 11.3 or newer")
    # The encoder's quality runs from 0 to 100, the other way round from crf's 63 to 0.
    options: dict[str, Any] = {"quality": round(100 * (1 - choice["crf"] / 63)), "subsampling": "4:2:0"}
    options |= {} if exif is None else {"exif": exif}
    mode = choice["save_mode"]
    if mode["save_mode"] == "still images":
        return _each(
            context, images, prefix, ".avif", lambda file, picture: to_pillow(picture).save(file, "AVIF", **options)
        )

    def write(file: BinaryIO) -> None:
        first, *others = [to_pillow(image) for image in images]
        options.update(save_all=True, append_images=others, duration=round(1000 / mode["fps"]))
        first.save(file, "AVIF", loop=mode["loop_count"], **options)

    height, width = images.shape[1:3]
    return save_files(context, [write], prefix=prefix, suffix=".avif", width=width, height=height)


def _each(
    context: Context, images: Tensor, prefix: str, suffix: str, write: Callable[[BinaryIO, Tensor], None]
) -> list[SavedFile]:
    """One file for each picture. Raises PixelError for tensors that are not pictures."""
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise PixelError(f"a tensor of shape {list(images.shape)} is not a batch of pictures [batch, height, width, 3]")

    def writers() -> Iterator[Writer]:
        for image in images:

            def writer(file: BinaryIO, image: Tensor = image) -> None:
                write(file, image)

            yield writer

    height, width = images.shape[1:3]
    return save_files(context, writers(), prefix=prefix, suffix=suffix, width=width, height=height)
