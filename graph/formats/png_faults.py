"""Finds faults in a PNG file that Pillow passes over: wrong checksums, broken texts, a missing end."""

from __future__ import annotations

import struct
import zlib
from typing import IO, Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MOST_TEXT: Final = 64 * 1024 * 1024
"""Bytes of a decompressed text that are checked."""


def png_fault(file: IO[bytes]) -> str | None:
    """Return the first fault of the PNG in ``file``, such as ``the IDAT chunk has a wrong checksum``.

    Reads from the start of the file. Returns None for a PNG without faults and for other files. Pixels are not
    decompressed.
    """
    file.seek(0)
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        return None
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        name = kind.decode("latin-1")
        content, checksum = file.read(length), file.read(4)
        if len(content) < length or len(checksum) < 4:
            return f"the file ends within the {name} chunk"
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
            return f"the {name} chunk has a wrong checksum"
        if kind in (b"zTXt", b"iTXt") and not _is_readable(kind, content):
            return f"the text in the {name} chunk cannot be read"
        if kind == b"IEND":
            return None
    return "the end of the file (IEND) is missing"


def _is_readable(kind: bytes, content: bytes) -> bool:
    """Whether the text of a zTXt or iTXt chunk can be decompressed and decoded."""
    _, separator, rest = content.partition(b"\0")
    if kind == b"zTXt":
        return bool(separator) and rest[:1] == b"\0" and _decompressed(rest[1:]) is not None
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return False
    text = _decompressed(parts[2]) if rest[:1] == b"\1" else parts[2]
    if text is None:
        return False
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decompressed(data: bytes) -> bytes | None:
    """Return the text, empty if it is too long to check; None if the data is broken or cut off."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, _MOST_TEXT)
    except zlib.error:
        return None
    if stream.unconsumed_tail:
        return b""
    return text if stream.eof else None
