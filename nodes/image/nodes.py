"""Pictures: load, save, make, scale, crop, batch, composite."""

from __future__ import annotations

import hashlib
from typing import Annotated, NamedTuple

from graph.context import Context
from graph.errors import InputFileError
from graph.folders import Folders
from graph.node import ExtraPngInfo, Files, Hint, Prompt, node
from graph.results import NodeResult
from nodes.types import Image, Mask

ImageFile = Annotated[str, Files("input"), Hint(image_upload=True)]


class ImageAndMask(NamedTuple):
    IMAGE: Image
    MASK: Mask


def _fingerprint(image: str, folders: Folders) -> str:
    """The file's content: the same picture under another name or date is the same input."""
    digest = hashlib.blake2b(digest_size=20)
    with open(folders.annotated(image), "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _file_is_there(image: str, folders: Folders) -> bool | str:
    try:
        folders.annotated(image)
    except InputFileError as error:
        return str(error)
    return True


@node(
    "LoadImage",
    display_name="Load Image",
    category="image",
    fingerprint=_fingerprint,
    validate=_file_is_there,
)
def load_image(*, image: ImageFile, context: Context) -> ImageAndMask:
    """Reads a picture; its transparency becomes the mask, 1 where nothing is seen.

    An animation becomes a batch. Without transparency the mask is 64×64 zeros.
    Raises InputFileError if the file is missing or no picture.
    """
    from nodes.image import loading

    return ImageAndMask(*loading.load_image(context.folders.annotated(image)))


@node("SaveImage", display_name="Save Image", category="image", output_node=True)
def save_image(
    *,
    images: Image,
    filename_prefix: str = "ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Saves each picture as a PNG in the output folder, with the workflow that made it inside.

    Raises OutputFileError if it cannot be written; nothing half-written stays.
    """
    from nodes.image import saving

    files = saving.save_png(context, images, prefix=filename_prefix, prompt=prompt, extra_pnginfo=extra_pnginfo)
    return NodeResult(ui={"images": saving.ui(files)})


@node("PreviewImage", display_name="Preview Image", category="image", output_node=True)
def preview_image(
    *, images: Image, prompt: Prompt = None, extra_pnginfo: ExtraPngInfo = None, context: Context
) -> NodeResult:
    """Shows the pictures without keeping them: they go to the temp folder."""
    from nodes.image import saving

    files = saving.save_preview(context, images, prompt=prompt, extra_pnginfo=extra_pnginfo)
    return NodeResult(ui={"images": saving.ui(files)})
