"""Progress and previews as packs report them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from graph.context import Context, PreviewImage

_LARGEST_PREVIEW = 512


def report(context: Context | None, value: float, maximum: float, preview: Any = None) -> None:
    """Report progress to the run, if there is one.

    ``preview`` is (format, Pillow image, largest side or None), a Pillow image, or an IMAGE tensor.
    Raises Interrupted if the run was asked to stop.
    """
    if context is not None:
        context.progress(value, maximum, _encoder(preview))


def _encoder(preview: Any) -> Callable[[], PreviewImage] | None:
    if preview is None:
        return None
    if isinstance(preview, tuple):
        kind, picture, largest = (*preview, None)[:3]
        return lambda: encoded(picture, str(kind), largest or _LARGEST_PREVIEW)
    return lambda: encoded(preview, "JPEG", _LARGEST_PREVIEW)


def encoded(picture: Any, kind: str, largest: int | None) -> PreviewImage:
    """A Pillow image, or an IMAGE tensor, as a file of that format (PNG, or else JPEG), scaled down to ``largest``."""
    if hasattr(picture, "movedim"):
        from nodes.pictures.pixels import to_pillow

        picture = to_pillow(picture[0] if picture.ndim == 4 else picture)
    if largest is not None and max(picture.size) > largest:
        picture = picture.copy()
        picture.thumbnail((largest, largest))
    file = io.BytesIO()
    if kind == "PNG":
        picture.save(file, "PNG", compress_level=1)
        return PreviewImage("PNG", file.getvalue())
    picture.convert("RGB").save(file, "JPEG", quality=90)
    return PreviewImage("JPEG", file.getvalue())
