"""The server's work on pictures: smaller previews, single channels, masks. Needs Pillow.

Pictures are turned as their EXIF orientation says. The functions are slow: call them through
:func:`on_picture_thread`. Each raises RequestError for files that are not pictures, pictures that are too large, and
damaged ones in which nothing is readable.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from graph.formats.picture_files import DAMAGE, read_damaged, upright, with_8_bits
from server.http.request_error import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

_ORIENTATION_TEXTS: Final = ("XML:com.adobe.xmp", "Raw profile type exif")
"""Text chunks of a PNG that may say how to turn it."""

_QUALITY: Final = 90

T = TypeVar("T")

_THREADS: Final = ThreadPoolExecutor(2, "pictures")
"""A small pool apart from asyncio's, so that large pictures do not delay small requests."""


async def on_picture_thread(work: Callable[[], T]) -> T:
    """Run ``work`` on a thread for pictures, so that it delays neither the event loop nor small file operations."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


def preview(
    path: Path | IO[bytes],
    image_format: str,
    quality: int,
    colours_only: bool,
    most_pixels: int,
    longest: int | None = None,
) -> bytes:
    """Return the picture as webp or jpeg of that quality (1..100), with no side longer than ``longest`` pixels."""
    with _reading():
        image = _opened(path, most_pixels)
        if longest is not None and longest < max(image.size):
            if image.mode not in ("RGB", "RGBA", "L"):  # palettes cannot be scaled smoothly
                image = image.convert("RGBA")
            image.thumbnail((longest, longest))
        if colours_only or image_format == "jpeg":
            image = image.convert("RGB")
        elif image.mode not in ("RGB", "RGBA", "L"):
            image = image.convert("RGBA")
        return _encoded(image, image_format, quality=quality)


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The size of an upright picture in pixels, and whether a part of it is transparent."""

    width: int
    height: int
    is_transparent: bool


def picture_facts(source: Path | IO[bytes], most_pixels: int) -> PictureFacts:
    """Return the facts about a picture."""
    with _reading():
        image = _opened(source, most_pixels)
        opaque = image.convert("RGBA").getchannel("A").histogram()[255]
        return PictureFacts(*image.size, opaque < image.width * image.height)


def damage_of(file: IO[bytes], most_pixels: int) -> str | None:
    """Return what is wrong with a picture of which only a part can be read; None for a whole one."""
    found: list[str] = []
    with _reading():
        _opened_with_texts(file, most_pixels, found.append)
    return found[0] if found else None


def re_encoded(file: IO[bytes], image_format: str, size: tuple[int, int] | None) -> bytes:
    """Return a small picture as png, webp or jpeg, enlarged to ``size`` if that is given."""
    from PIL import Image

    with Image.open(file) as image:
        shown = image.convert("RGB")
        return _encoded(shown if size is None else shown.resize(size, Image.Resampling.BICUBIC), image_format)


def converted(path: Path, image_format: str, quality: int | None, most_pixels: int) -> bytes:
    """Return the picture as png, webp or jpeg; ``quality`` is 0..100, None for a usual one. PNG has none.

    Transparency is kept, but JPEG has none.
    """
    options = {} if image_format == "png" else {"quality": _QUALITY if quality is None else quality}
    with _reading():
        image = _opened(path, most_pixels)
        if image_format == "jpeg":
            image = image.convert("RGB")
        elif image.mode not in ("RGB", "RGBA", "L"):
            image = image.convert("RGBA")
        return _encoded(image, image_format, **options)


def colours_only(path: Path, most_pixels: int) -> bytes:
    """Return the colours as PNG, transparent pixels included."""
    with _reading():
        return _encoded(_opened(path, most_pixels).convert("RGBA").convert("RGB"), "png")


def alpha_only(path: Path, most_pixels: int) -> bytes:
    """Return a black PNG with the picture's alpha; opaque if the picture has no alpha."""
    from PIL import Image

    with _reading():
        image = _opened(path, most_pixels)
        black = Image.new("RGBA", image.size)
        black.putalpha(image.convert("RGBA").getchannel("A"))
        return _encoded(black, "png")


def with_mask(original: Path | IO[bytes], mask: IO[bytes], most_pixels: int) -> bytes:
    """Return ``original`` as PNG with the alpha of ``mask``. Text chunks are kept.

    The mask must have the size of the upright picture; RequestError (400) if not.
    """
    from PIL.PngImagePlugin import PngInfo

    with _reading():
        image, kept = _opened_with_texts(original, most_pixels)
        alpha = _opened(mask, most_pixels)
        if image.size != alpha.size:
            sizes = f"the mask is {alpha.width}×{alpha.height}, the picture {image.width}×{image.height}"
            raise RequestError(400, "mask_size", sizes, "both must have the same size")
        texts = PngInfo()
        for key, value in kept.items():
            if key in _ORIENTATION_TEXTS:
                continue  # the picture is upright now
            texts.add_text(key, value)
        image = image.convert("RGBA")
        image.putalpha(alpha.convert("RGBA").getchannel("A"))
        return _encoded(image, "png", compress_level=4, pnginfo=texts)


def check_pixels(file: IO[bytes], most_pixels: int) -> None:
    """Raise RequestError (413) for a picture with too many pixels. Files that are not pictures pass."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        raise _too_large(most_pixels) from error
    except DAMAGE:
        return
    if pixels > most_pixels:
        raise _too_large(most_pixels)


def picture_kind(file: IO[bytes], most_pixels: int) -> str | None:
    """Return the kind of a picture as a file ending (``png``, ``jpg`` …), from its header; None if it is not one.

    Raises RequestError (413) for a picture with too many pixels.
    """
    from PIL import Image

    check_pixels(file, most_pixels)
    try:
        file.seek(0)
        with Image.open(file) as image:
            kind = (image.format or "").lower()
    except DAMAGE:
        return None
    return {"jpeg": "jpg", "mpo": "jpg"}.get(kind, kind) or None


@contextmanager
def _reading() -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except Image.DecompressionBombError as error:
        raise RequestError(413, "picture_too_large", "the picture has too many pixels", str(error)[:200]) from error
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as error:
        raise RequestError(400, "invalid_picture", "not a picture", "expected PNG, JPEG, WebP, GIF or AVIF") from error
    except DAMAGE as error:
        raise RequestError(400, "invalid_picture", "the picture cannot be read", str(error)[:200]) from error


def _opened(source: Path | IO[bytes], most_pixels: int) -> Image:
    return _opened_with_texts(source, most_pixels)[0]


def _opened_with_texts(
    source: Path | IO[bytes], most_pixels: int, report: Callable[[str], None] | None = None
) -> tuple[Image, dict[str, str]]:
    """Return the picture upright, with 8 bits a channel, and a PNG's texts; of a damaged picture the readable part.

    ``report`` gets what is damaged; without it, that is logged.
    """
    from PIL import Image

    def log_damage(reason: str) -> None:
        log.warning("%s is damaged (%s)", source.name if isinstance(source, Path) else "an uploaded picture", reason)

    tell = log_damage if report is None else report

    def read(_: bool) -> tuple[Image.Image, dict[str, str]]:
        if not isinstance(source, Path):
            source.seek(0)
        with Image.open(source) as image:
            if image.width * image.height > most_pixels:
                raise _too_large(most_pixels)
            image.load()
            return with_8_bits(upright(image, tell)), getattr(image, "text", {})

    return read_damaged(source, read, tell)


def _encoded(image: Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _too_large(most: int) -> RequestError:
    return RequestError(413, "picture_too_large", f"the picture has more than {most} pixels")
