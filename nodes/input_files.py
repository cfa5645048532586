"""Files of the input folder that nodes name: are they there, and have they changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from graph.errors import InputFileError
from graph.folders import Folders

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".mpo", ".ico")
"""Endings of the files that nodes which read pictures offer."""

LATENTS = (".latent",)


def content_hash(path: Path) -> str:
    """A hash of the file's bytes: the same picture under another name or date is the same input."""
    digest = hashlib.blake2b(digest_size=20)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_there(folders: Folders, name: str, default: str = "input") -> bool | str:
    """True, or what is wrong with the possibly annotated file ``name``."""
    try:
        folders.annotated(name, default)
    except InputFileError as error:
        return str(error)
    return True
