"""Writes the workflow into pictures, so that a picture can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from graph.errors import OutputFileError

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.PngImagePlugin import PngInfo

enabled = True
"""Whether pictures carry their workflow; ``--disable-metadata`` sets it to False."""

PARAMETERS: Final = "parameters"
EXIF_MAKE, EXIF_MODEL = 0x010F, 0x0110


def texts(prompt: Any, extra_pnginfo: Mapping[str, Any] | None, node_id: str = "", index: int = 0) -> dict[str, str]:
    """Return JSON texts by keyword: ``prompt`` (API dialect) and each key of ``extra_pnginfo`` (``workflow``).

    Returns none if metadata is disabled. The JSON is pure ASCII. ``parameters`` are AUTOMATIC1111's, as plain text: one
    text, or {output node: [text of each of its pictures]}, of which this is picture ``index`` of ``node_id``.
    """
    if not enabled:
        return {}
    found = {} if prompt is None else {"prompt": json.dumps(prompt)}
    for key, value in (extra_pnginfo or {}).items():
        if key != PARAMETERS:
            found[key] = json.dumps(value)
        elif (text := _parameters(value, node_id, index)) is not None:
            found[key] = text
    return found


def _parameters(value: Any, node_id: str, index: int) -> str | None:
    if isinstance(value, Mapping):
        of_node = value.get(node_id)
        value = of_node[index] if isinstance(of_node, list) and index < len(of_node) else None
    return value if isinstance(value, str) else None


def png_chunks(
    prompt: Any, extra_pnginfo: Mapping[str, Any] | None, node_id: str = "", index: int = 0
) -> PngInfo | None:
    """Return one tEXt chunk per text of :func:`texts`, or None if there are no texts.

    Raises OutputFileError for a key that is not a PNG keyword (1 to 79 Latin-1 characters).
    """
    from PIL.PngImagePlugin import PngInfo

    found = texts(prompt, extra_pnginfo, node_id, index)
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
    """Return the texts as EXIF: ``prompt:{json}`` as Model, then Make and lower tags, one per key."""
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
