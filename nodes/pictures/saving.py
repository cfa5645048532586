"""Writes IMAGE batches as picture files, each with its workflow inside."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from typing import Any, BinaryIO

import torch

from graph.context import Context, PreviewImage
from graph.results import SavedFile
from nodes.pictures import metadata
from nodes.pictures.pixels import to_pillow
from nodes.saving import Writer, save_files


def save_png(
    context: Context,
    images: torch.Tensor,
    *,
    prefix: str,
    folder: str = "output",
    compress_level: int = 4,
    prompt: Any = None,
    extra_pnginfo: Any = None,
) -> list[SavedFile]:
    """Save each picture of ``images`` [B, H, W, C] as ``{prefix}_{counter:05}_.png``.

    ``compress_level`` is zlib's, 0 to 9. Raises OutputFileError and PixelError.
    """
    node_id = context.node_id

    def writers() -> Iterator[Writer]:
        for index, image in enumerate(images):
            chunks = metadata.png_chunks(prompt, extra_pnginfo, node_id, index)

            def write(file: BinaryIO, image: torch.Tensor = image, chunks: Any = chunks) -> None:
                to_pillow(image).save(file, format="PNG", pnginfo=chunks, compress_level=compress_level)

            yield write

    height, width = images.shape[1:3]
    return save_files(context, writers(), prefix=prefix, suffix=".png", folder=folder, width=width, height=height)


def save_preview(
    context: Context, images: torch.Tensor, *, prompt: Any = None, extra_pnginfo: Any = None
) -> list[SavedFile]:
    """Save ``images`` [B, H, W, C] with fast compression in the temp folder, under a unique name."""
    return save_png(
        context,
        images,
        prefix=f"preview_{secrets.token_hex(4)}",
        folder="temp",
        compress_level=1,
        prompt=prompt,
        extra_pnginfo=extra_pnginfo,
    )


def png_preview(image: torch.Tensor) -> PreviewImage:
    """Return one picture [H, W, C] as a PNG file in memory. Raises PixelError."""
    file = io.BytesIO()
    to_pillow(image).save(file, format="PNG", compress_level=1)
    return PreviewImage("PNG", file.getvalue())
