"""Writes IMAGE batches as animations: APNG and WebP."""

from __future__ import annotations

from typing import Any, BinaryIO

import torch

from graph.context import Context
from graph.results import SavedFile
from nodes.pictures import metadata
from nodes.pictures.pixels import PixelError, to_pillow
from nodes.saving import save_files

WEBP_LIMIT = 16383
"""Maximum pixels per side in the WebP format."""


def save_apng(
    context: Context,
    images: torch.Tensor,
    *,
    prefix: str,
    fps: float,
    compress_level: int,
    prompt: Any = None,
    extra_pnginfo: Any = None,
) -> list[SavedFile]:
    """Save ``images`` [B, H, W, C] as one animated PNG. Raises OutputFileError and PixelError.

    A frame that equals the one before is not written again; the first is shown longer.
    """
    chunks = metadata.png_chunks(prompt, extra_pnginfo)

    def write(file: BinaryIO) -> None:
        first, *others = [to_pillow(image) for image in images]
        options: dict[str, Any] = {"pnginfo": chunks, "compress_level": compress_level}
        first.save(file, "PNG", save_all=True, append_images=others, duration=int(1000.0 / fps), **options)

    height, width = images.shape[1:3]
    return save_files(context, [write], prefix=prefix, suffix=".png", width=width, height=height)


def save_webp(
    context: Context,
    images: torch.Tensor,
    *,
    prefix: str,
    fps: float,
    lossless: bool,
    quality: int,
    method: int,
    prompt: Any = None,
    extra_pnginfo: Any = None,
) -> list[SavedFile]:
    """Save ``images`` [B, H, W, C] as one animated WebP. Raises OutputFileError and PixelError.

    ``quality`` is 0 to 100; ``method``, 0 to 6, trades time for size.
    """
    height, width = images.shape[1:3]
    if max(height, width) > WEBP_LIMIT:
        raise PixelError(f"a WebP can have at most {WEBP_LIMIT} pixels per side, not {width}×{height}: scale it first")
    exif = metadata.webp_exif(prompt, extra_pnginfo)

    def write(file: BinaryIO) -> None:
        first, *others = [to_pillow(image) for image in images]
        options: dict[str, Any] = {"lossless": lossless, "quality": quality, "method": method}
        if exif is not None:
            options["exif"] = exif
        first.save(file, "WEBP", save_all=True, append_images=others, duration=int(1000.0 / fps), **options)

    return save_files(context, [write], prefix=prefix, suffix=".webp", width=width, height=height)
