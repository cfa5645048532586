"""Checks whether input files that nodes name exist, and whether they have changed."""

from __future__ import annotations

from typing import Annotated

from graph.content import content_hash
from graph.errors import InputFileError
from graph.folders import Folders
from graph.node import Files, Hint

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".mpo", ".ico")
"""File endings that picture-loading nodes list."""

LATENTS = (".latent",)

ImageFile = Annotated[str, Files("input", PICTURES), Hint(image_upload=True)]
"""A picture in the input folder, chosen or uploaded; the name may be annotated (``x.png [output]``)."""


def is_there(folders: Folders, name: str, default: str = "input") -> bool | str:
    """Return True if the file ``name``, which may be annotated, exists; else a description of the problem."""
    try:
        folders.annotated(name, default)
    except InputFileError as error:
        return str(error)
    return True


def image_content(image: str, folders: Folders) -> str:
    """The fingerprint of a node whose input ``image`` is an :data:`ImageFile`."""
    return content_hash(folders.annotated(image))


def image_is_there(image: str, folders: Folders) -> bool | str:
    """The validation of a node whose input ``image`` is an :data:`ImageFile`."""
    return is_there(folders, image)
