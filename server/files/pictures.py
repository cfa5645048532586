"""Pictures as the server has to touch them: smaller previews, single channels, masks. Needs Pillow.

The functions take their time and are called through :func:`on_picture_thread`. Each raises RequestError for
what is no picture, a damaged or a giant one.
"""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from server.http.request_error import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

_THREADS: Final = ThreadPoolExecutor(2, "pictures")
"""Few, and not asyncio's own: large pictures must not keep small questions waiting."""

_DAMAGE: Final = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError)
"""Exceptions that Pillow raises for damaged pictures and for other files."""


async def on_picture_thread(work: Callable[[], T]) -> T:
    """Do ``work`` where it holds up neither the event loop nor small file operations."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


def preview(
    path: Path, image_format: str, quality: int, colours_only: bool, most_pixels: int, longest: int | None = None
) -> bytes:
    """The picture as webp or jpeg of that quality (1..100), with no side longer than ``longest`` pixels."""
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


def colours_only(path: Path, most_pixels: int) -> bytes:
    """The colours as PNG, also of pixels that are transparent."""
    with _reading():
        return _encoded(_opened(path, most_pixels).convert("RGBA").convert("RGB"), "png")


def alpha_only(path: Path, most_pixels: int) -> bytes:
    """A black PNG with the picture's alpha; opaque where it has none."""
    from PIL import Image

    with _reading():
        image = _opened(path, most_pixels)
        black = Image.new("RGBA", image.size)
        black.putalpha(image.convert("RGBA").getchannel("A"))
        return _encoded(black, "png")


def with_mask(original: Path, mask: IO[bytes], most_pixels: int) -> bytes:
    """``original`` as PNG with the alpha of ``mask``, which must be of the same size. Text chunks are kept."""
    from PIL.PngImagePlugin import PngInfo

    with _reading():
        image, alpha = _opened(original, most_pixels), _opened(mask, most_pixels)
        if image.size != alpha.size:
            sizes = f"the mask is {alpha.width}×{alpha.height}, the picture {image.width}×{image.height}"
            raise RequestError(400, "mask_size", sizes, "they must be of the same size")
        texts = PngInfo()
        for key, value in getattr(image, "text", {}).items():
            texts.add_text(key, value)
        image = image.convert("RGBA")
        image.putalpha(alpha.convert("RGBA").getchannel("A"))
        return _encoded(image, "png", compress_level=4, pnginfo=texts)


def check_pixels(file: IO[bytes], most_pixels: int) -> None:
    """Raise RequestError (413) for a picture of too many pixels. Files that are no pictures pass."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        raise _too_large(most_pixels) from error
    except (*_DAMAGE, struct.error, zlib.error):
        return
    if pixels > most_pixels:
        raise _too_large(most_pixels)


@contextmanager
def _reading() -> Iterator[None]:
    from PIL import Image

    try:
        yield
    except Image.DecompressionBombError as error:
        raise RequestError(413, "picture_too_large", "the picture has too many pixels", str(error)[:200]) from error
    except FileNotFoundError:
        raise
    except (*_DAMAGE, struct.error, zlib.error) as error:
        raise RequestError(400, "invalid_picture", "that picture cannot be read", str(error)[:200]) from error


def _opened(source: Path | IO[bytes], most_pixels: int) -> Image:
    from PIL import Image

    with Image.open(source) as image:
        if image.width * image.height > most_pixels:
            raise _too_large(most_pixels)
        image.load()
        return image


def _encoded(image: Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _too_large(most: int) -> RequestError:
    return RequestError(413, "picture_too_large", f"the picture has more than {most} pixels")
