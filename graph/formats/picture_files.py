"""Picture files as people have them: damaged, turned on their side, deeper than 8 bits.

The nodes and the server both read through these functions. They use Pillow, and import it when called.
"""

from __future__ import annotations

import math
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeVar

from graph.formats.png_faults import png_fault

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

DAMAGE: Final = (
    *(OSError, EOFError, RuntimeError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, AssertionError, struct.error, zlib.error),
)
"""Exceptions that Pillow's decoders raise for damaged files."""

_MISSING: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_WHITES: Final = (1.0, 255.0, 65535.0)
_BRIGHT: Final = 0.999
"""Quantile of the values that tells which white a picture was written with; brighter ones may be faults."""
_MOST_SAMPLES: Final = 2**18
"""Number of values from which white is found; larger pictures are sampled evenly."""
_FOR_ONE: Final = threading.Lock()
"""Pillow's setting for damaged files holds for the whole process."""


def read_damaged(source: Path | IO[bytes], read: Callable[[bool], T], report: Callable[[str], None]) -> T:
    """Return ``read(False)``, which opens and decodes the picture file; for a damaged file, ``read(True)``.

    During ``read(True)`` Pillow leaves missing pixels black or grey and skips broken text chunks. ``report`` gets the
    reason, such as ``image file is truncated (10 bytes not processed)``; also the fault of a PNG that Pillow reads
    without an error. Raises the error of ``read(False)`` if both fail.
    """
    from PIL import ImageFile, UnidentifiedImageError

    try:
        found = read(False)
    except _MISSING:
        raise
    except DAMAGE as error:
        first = error
    else:
        fault = _fault(source)
        if fault is not None:
            report(fault)
        return found
    with _FOR_ONE:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            found = read(True)
        except DAMAGE:
            raise first from None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
    report("a part has a wrong checksum" if isinstance(first, UnidentifiedImageError) else str(first))
    return found


def upright(picture: Image, report: Callable[[str], None]) -> Image:
    """Return the picture turned and mirrored as its EXIF orientation says, without that entry.

    With unreadable EXIF data the picture is not changed, and ``report`` gets the reason.
    """
    from PIL import ImageOps

    try:
        turned = ImageOps.exif_transpose(picture)
    except DAMAGE as error:
        report(f"its EXIF data cannot be read: {error}")
        turned = picture.copy()
    turned.format = picture.format
    return turned


def white_level(picture: Image) -> float | None:
    """Return the value of white in a grey picture of more than 8 bits; None for 8-bit pictures.

    White is 65535 in 16-bit pictures. In floats and TIFFs of 32-bit integers it is 1, 255 or 65535 if the bright values
    are near that, else the bright values themselves.
    """
    if picture.mode != "F" and not picture.mode.startswith("I"):
        return None
    if picture.mode.startswith("I") and (picture.mode != "I" or picture.format != "TIFF"):
        return 65535.0
    values = memoryview(picture.convert("F").tobytes()).cast("f")
    finite = sorted(filter(math.isfinite, values[:: len(values) // _MOST_SAMPLES + 1]))
    bright = finite[int(_BRIGHT * (len(finite) - 1))] if finite else 0.0
    if bright <= _WHITES[0]:
        return _WHITES[0]
    # Up to half as bright again may be highlights; a picture is seldom darker than a sixteenth of white.
    return next((white for white in _WHITES if white / 16 < bright <= white * 1.5), bright)


def with_8_bits(picture: Image) -> Image:
    """Return the picture with 8 bits a channel, deeper greys scaled to their range."""
    white = white_level(picture)
    if white is None:
        return picture
    return picture.convert("F").point(lambda value: value * (255.0 / white) + 0.0).convert("L")


def _fault(source: Path | IO[bytes]) -> str | None:
    if not isinstance(source, Path):
        return png_fault(source)
    with source.open("rb") as file:
        return png_fault(file)
