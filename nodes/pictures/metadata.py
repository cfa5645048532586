"""The workflow inside a picture: what SaveImage writes so that the picture can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graph.errors import OutputFileError

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.PngImagePlugin import PngInfo

enabled = True
"""Whether pictures carry their workflow; ``--disable-metadata`` sets it to False."""

EXIF_MAKE, EXIF_MODEL = 0x010F, 0x0110


def texts(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> dict[str, str]:
    """Keyword → JSON: ``prompt`` (API dialect) and each key of ``extra_pnginfo`` (``workflow``).

    Empty when metadata is disabled. The JSON is pure ASCII.
    """
    if not enabled:
        return {}
    found = {} if prompt is None else {"prompt": json.dumps(prompt)}
    for key, value in (extra_pnginfo or {}).items():
        found[key] = json.dumps(value)
    return found


def png_chunks(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> PngInfo | None:
    """One tEXt chunk per text, or None if there is none.

    Raises OutputFileError for a key that is no PNG keyword (1 to 79 Latin-1 characters).
    """
    from PIL.PngImagePlugin import PngInfo

    found = texts(prompt, extra_pnginfo)
    if not found:
        return None
    chunks = PngInfo()
    for key, text in found.items():
        if not 1 <= len(key) <= 79 or not key.isprintable() or max(map(ord, key)) > 255:
            raise OutputFileError(
                f"extra_pnginfo key {key[:100]!r} cannot name a PNG text chunk: "
                "it must be 1 to 79 printable Latin-1 characters"
            )
        chunks.add_text(key, text)
    return chunks


def webp_exif(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> Exif | None:
    """The same in EXIF: ``prompt:{json}`` as Model, then Make and the tags below it, one per key."""
    from PIL.Image import Exif

    found = texts(prompt, extra_pnginfo)
    if not found:
        return None
    exif = Exif()
    tag = EXIF_MAKE
    for key, text in found.items():
        if key == "prompt":
            exif[EXIF_MODEL] = f"prompt:{text}"
        else:
            exif[tag] = f"{key}:{text}"
            tag -= 1
    return exif
