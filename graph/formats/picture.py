"""Workflows that sit in pictures: text chunks of a PNG, EXIF of a WebP or JPEG.

The containers are read by hand: it takes a screen, needs no picture to be decoded (a file cut off
in the middle of its pixels still has its workflow) and meets no decompression bomb.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from graph.errors import FormatError

MAX_TEXT_BYTES: Final = 64 * 1024 * 1024
"""Compressed text may not grow beyond this."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_OTHERS: Final = ((b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))
_KEYS: Final = ("prompt", "workflow")


def is_picture(data: bytes) -> bool:
    """Whether ``data`` begins like a picture (of any kind, readable here or not)."""
    return data.startswith((_PNG, _JPEG)) or _is_webp(data) or data.startswith(tuple(mark for mark, _ in _OTHERS))


def workflow_texts(data: bytes) -> dict[str, str]:
    """The JSON texts that a picture carries: ``prompt`` (API dialect), ``workflow`` (editor's) or both.

    Raises FormatError for a broken picture and for one that has neither.
    """
    if data.startswith(_PNG):
        texts = dict(_png_texts(data))
    elif _is_webp(data):
        texts = _exif_texts(_webp_exif(data))
    elif data.startswith(_JPEG):
        texts = _exif_texts(_jpeg_exif(data))
    else:
        kind = next(kind for mark, kind in _OTHERS if data.startswith(mark))
        raise FormatError(f"a {kind} picture carries no workflow; expected a PNG, WebP or JPEG that was saved with one")
    found = {key: text for key, text in texts.items() if key in _KEYS}
    if not found:
        raise FormatError(f"the picture carries no workflow{_what_else(texts)}; expected 'prompt' or 'workflow' in it")
    return found


def _what_else(texts: dict[str, str]) -> str:
    if "parameters" in texts:
        return " (only the parameters that other programs write as prose)"
    return f" (only {', '.join(sorted(texts)[:5])})" if texts else ""


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"IEND":
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"comf"):
            if len(body) < length:
                raise FormatError(f"the picture ends within a {kind.decode()} chunk: it is cut off")
            if zlib.crc32(data[at + 4 : at + 8 + length]) != int.from_bytes(data[at + 8 + length : at + 12 + length]):
                raise FormatError(f"the picture's {kind.decode()} chunk at byte {at} is damaged: wrong checksum")
            yield _png_text(kind, body)
        at += 12 + length


def _png_text(kind: bytes, body: bytes) -> tuple[str, str]:
    key, _, text = body.partition(b"\0")
    if kind == b"zTXt":
        text = _inflated(text[1:])
    elif kind == b"iTXt":
        compressed, rest = text[:1] == b"\1", text[2:]
        text = rest.split(b"\0", 2)[-1]
        text = _inflated(text) if compressed else text
    return key.decode("latin-1"), _decoded(text)


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_TEXT_BYTES)
    except zlib.error as error:
        raise FormatError(f"compressed text in the picture is damaged: {error}") from error
    if inflater.unconsumed_tail:
        raise FormatError(f"compressed text in the picture is larger than {MAX_TEXT_BYTES >> 20} MiB")
    if not inflater.eof:
        raise FormatError("compressed text in the picture is cut off")
    return text


def _webp_exif(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            if at + 8 + length > len(data):
                raise FormatError("the picture ends within its EXIF data: it is cut off")
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    if at > len(data) + 1:
        raise FormatError("the picture is cut off before its EXIF data")
    return b""


def _jpeg_exif(data: bytes) -> bytes:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # up to the pixels
        length = int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xE1 and body.startswith(b"Exif\0"):
            if len(body) < length - 2:
                raise FormatError("the picture ends within its EXIF data: it is cut off")
            return body
        at += 2 + length
    return b""


def _exif_texts(data: bytes) -> dict[str, str]:
    """Texts of the first directory that read ``key:text``. ComfyUI puts ``prompt:{…}`` into Model
    (0x0110) and ``workflow:{…}`` into Make (0x010F), and more into the tags below."""
    tiff = data.removeprefix(b"Exif\0\0")
    if not tiff:
        return {}
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    texts: dict[str, str] = {}
    try:
        if order is None:
            raise FormatError("the picture's EXIF data is damaged: it has no byte order")
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for index in range(count):
            at = directory + 2 + 12 * index
            _, kind, length, offset = struct.unpack_from(f"{order}HHII", tiff, at)
            if kind not in (1, 2, 7):  # bytes, ASCII, undefined
                continue
            start = at + 8 if length <= 4 else offset
            if start + length > len(tiff):
                raise FormatError("the picture's EXIF data is damaged: a text lies beyond its end")
            key, colon, text = _decoded(tiff[start : start + length].rstrip(b"\0")).partition(":")
            if colon:
                texts.setdefault(key.strip().lower(), text)
    except struct.error as error:
        raise FormatError(f"the picture's EXIF data is damaged: {error}") from error
    return texts


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")  # what the PNG standard says tEXt is
