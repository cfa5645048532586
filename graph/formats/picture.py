"""Reads texts from pictures, workflows among them: text chunks of a PNG, EXIF of a WebP, JPEG, PNG or AVIF, the tags of
a TIFF, and the comments of a JPEG or GIF.

The containers are parsed here rather than by an image library: the code is short and decodes no pixels, so a file
that is cut off in its pixels still gives its workflow, and decompression bombs do no harm.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from graph.errors import FormatError
from graph.formats import comments, isobmff
from graph.formats.a1111.text import is_parameters

MAX_TEXT_BYTES: Final = 64 * 1024 * 1024
"""Size in bytes above which decompressed text is refused."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_GIF: Final = b"GIF8"
_TIFF: Final = (b"II*\0", b"MM\0*")
_BMP: Final = b"BM"
KEYS: Final = ("prompt", "workflow", "parameters")
"""Texts that a workflow can be read from."""

_MAKE_TEXT: Final = (1, 2, 7)
"""EXIF types of texts: bytes, ASCII, undefined."""
_EXIF_DIRECTORY: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_XP_COMMENT: Final = 0x9C9C
_COMMENTS: Final = (_USER_COMMENT, 0x010E, _XP_COMMENT)
"""EXIF tags that programs write parameters into; 0x010E is ImageDescription."""


def is_picture(data: bytes) -> bool:
    """Whether ``data`` begins like a picture, including kinds that cannot be read here."""
    return data.startswith((_PNG, _JPEG, _GIF, *_TIFF, _BMP)) or _is_webp(data) or _is_avif(data)


def texts_in(data: bytes) -> dict[str, str]:
    """Return the texts in a picture by key: ``prompt`` (API dialect), ``workflow`` (editor's dialect),
    ``parameters`` (AUTOMATIC1111's text, also from an EXIF comment), and any others.

    Damaged texts are skipped if one of these three is sound. Raises FormatError for a damaged picture.
    """
    if data.startswith(_PNG):
        texts = _png_texts(data)
    elif _is_webp(data):
        texts = _exif_texts(_webp_exif(data))
    elif data.startswith(_JPEG):
        texts = _jpeg_texts(data)
    elif data.startswith(_GIF):
        texts = _comment_texts(comments.of_gif(data))
    elif data.startswith(_TIFF):
        texts = _exif_texts(data)
    elif _is_avif(data):
        texts = _exif_texts(isobmff.exif_in(data))
    else:
        raise FormatError("BMP pictures hold no workflow; expected a PNG, WebP or JPEG that was saved with one")
    return texts


def no_workflow(texts: dict[str, str]) -> FormatError:
    """The error for a picture with these texts, none of which is a workflow."""
    others = f" (only {', '.join(sorted(texts)[:5])})" if texts else ""
    return FormatError(
        f"the picture carries no workflow{others}; expected 'prompt', 'workflow' or AUTOMATIC1111's 'parameters' in it"
    )


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _is_avif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and not {b"avif", b"avis", b"mif1", b"heic"}.isdisjoint(
        {data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4]), 64), 4))}
    )


def _png_texts(data: bytes) -> dict[str, str]:
    texts: dict[str, str] = {}
    damage: list[FormatError] = []
    for kind, body in _png_chunks(data):
        try:
            if isinstance(body, FormatError):
                raise body
            if kind == b"eXIf":
                texts = {**_exif_texts(body), **texts}
            else:
                key, text = _png_text(kind, body)
                texts[key] = text
        except FormatError as error:
            damage.append(error)
    if damage and texts.keys().isdisjoint(KEYS):
        raise damage[0]
    return texts


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes | FormatError]]:
    """Yield kind and content of each chunk that may hold text; an error in place of damaged content."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"IEND":
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"comf", b"eXIf"):
            name = kind.decode()
            if len(body) < length:
                yield kind, FormatError(f"the picture ends within a {name} chunk: it is cut off")
                return
            sum_ = int.from_bytes(data[at + 8 + length : at + 12 + length])
            is_sound = zlib.crc32(data[at + 4 : at + 8 + length]) == sum_
            yield (
                kind,
                body
                if is_sound
                else FormatError(f"the picture's {name} chunk at byte {at} is damaged: wrong checksum"),
            )
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


def _jpeg_texts(data: bytes) -> dict[str, str]:
    """Return the texts in the EXIF data and in the comments (COM). EXIF counts if both hold parameters."""
    texts: dict[str, str] = {}
    found = []
    for kind, body, is_whole in _jpeg_segments(data):
        if kind == 0xFE and is_whole:
            found.append(body)
        elif kind == 0xE1 and body.startswith(b"Exif\0") and not texts:
            if not is_whole:
                raise FormatError("the picture ends within its EXIF data: it is cut off")
            texts = _exif_texts(body)
    return {**_comment_texts(found), **texts}


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield kind and content of the segments before the pixels, and whether the content is complete."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + length]
        yield data[at + 1], body, len(body) == length - 2
        at += 2 + length


def _comment_texts(found: Iterable[bytes]) -> dict[str, str]:
    """Return the texts of comments: parameters, ``prompt:{…}`` and ``workflow:{…}``, or a workflow as JSON alone."""
    texts: dict[str, str] = {}
    for comment in found:
        text = _decoded(comment).strip("\0 ")
        key, colon, rest = text.partition(":")
        if is_parameters(text):
            texts.setdefault("parameters", text)
        elif text.startswith("{"):
            texts.setdefault("workflow" if '"nodes"' in text else "prompt", text)
        elif colon and key.strip().lower() in KEYS:
            texts.setdefault(key.strip().lower(), rest)
    return texts


def _exif_texts(data: bytes) -> dict[str, str]:
    """Return the texts of the first directory with the form ``key:text``, and a comment as ``parameters``.

    ComfyUI writes ``prompt:{…}`` into Model (0x0110), ``workflow:{…}`` into Make (0x010F), and other keys into lower
    tags. Other programs write their parameters as a comment.
    """
    tiff = data.removeprefix(b"Exif\0\0")
    if not tiff:
        return {}
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    texts: dict[str, str] = {}
    try:
        if order is None:
            raise FormatError("the picture's EXIF data is damaged: it has no byte order")
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        tags = dict(_exif_tags(tiff, order, directory))
        if (inner := tags.get(_EXIF_DIRECTORY)) is not None and len(inner) == 4:
            (directory,) = struct.unpack(f"{order}I", inner)
            tags = {**dict(_exif_tags(tiff, order, directory)), **tags}
    except struct.error as error:
        raise FormatError(f"the picture's EXIF data is damaged: {error}") from error
    for tag, value in tags.items():
        if tag not in (_EXIF_DIRECTORY, _USER_COMMENT, _XP_COMMENT):
            key, colon, text = _decoded(value.rstrip(b"\0")).partition(":")
            if colon:
                texts.setdefault(key.strip().lower(), text)
    written = [_comment(tag, tags[tag], order) for tag in _COMMENTS if tag in tags]
    found = next((comment for comment in written if is_parameters(comment)), None)
    if found is not None:
        texts["parameters"] = found
    return texts


def _exif_tags(tiff: bytes, order: str, directory: int) -> Iterator[tuple[int, bytes]]:
    """Yield the texts of a directory by tag, and the place of the EXIF directory. Raises struct.error, FormatError."""
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    for index in range(count):
        at = directory + 2 + 12 * index
        tag, kind, length, offset = struct.unpack_from(f"{order}HHII", tiff, at)
        if tag == _EXIF_DIRECTORY:
            yield tag, tiff[at + 8 : at + 12]
        elif kind in _MAKE_TEXT:
            start = at + 8 if length <= 4 else offset
            if start + length > len(tiff):
                raise FormatError("the picture's EXIF data is damaged: a text lies beyond its end")
            yield tag, tiff[start : start + length]


def _comment(tag: int, value: bytes, order: str) -> str:
    """The text of a comment. UserComment begins with eight bytes that name its encoding."""
    if tag == _XP_COMMENT:
        return value.decode("utf-16-le", "replace").strip("\0 ")
    if tag != _USER_COMMENT:
        return _decoded(value.strip(b"\0 "))
    code, text = value[:8], value[8:]
    if code == b"UNICODE\0":
        return _unicode(text, order).strip("\0 ")
    if code in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", b"\0" * 8):
        value = text
    return _utf_16(value, order).strip("\0 ") if b"\0" in value.strip(b"\0") else _decoded(value.strip(b"\0 "))


def _unicode(text: bytes, order: str) -> str:
    """UTF-16, or UTF-8 that some programs write under the same name: UTF-16 text has zeros, as in its line ends."""
    if b"\0" not in text.strip(b"\0") and text[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return text.decode()
        except UnicodeDecodeError:
            pass
    return _utf_16(text, order)


def _utf_16(text: bytes, order: str) -> str:
    """UTF-16 in the byte order of its mark; without a mark, in the order that gives the plainer text.

    Writers disagree whether the picture's byte order holds for comments.
    """
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text.decode("utf-16", "replace")
    usual = "utf-16-le" if order == "<" else "utf-16-be"
    other = "utf-16-be" if order == "<" else "utf-16-le"
    return max((text.decode(name, "replace") for name in (usual, other)), key=_latin_letters)


def _latin_letters(text: str) -> int:
    return sum(character < "\u0250" for character in text)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")  # the PNG standard's encoding of tEXt
