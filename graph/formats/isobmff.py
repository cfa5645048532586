"""The EXIF data of an AVIF or HEIF picture (ISO/IEC 14496-12, boxes ``iinf`` and ``iloc``; 23008-12, annex A)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from graph.errors import FormatError


def exif_in(data: bytes) -> bytes:
    """Return the TIFF structure of the picture's EXIF item; empty without one. Raises FormatError for damaged boxes."""
    try:
        meta = next((body for kind, body in _boxes(data, 0, len(data)) if kind == b"meta"), None)
        if meta is None:
            return b""
        boxes = {kind: body for kind, body in _boxes(meta, 4, len(meta))}
        item = _exif_item(boxes.get(b"iinf", b""))
        if item is None or b"iloc" not in boxes:
            return b""
        content = b"".join(_extents(boxes[b"iloc"], item, data, boxes.get(b"idat", b"")))
    except (struct.error, IndexError) as error:
        raise FormatError(f"the picture's boxes are damaged: {error}") from error
    if len(content) < 4:
        return b""
    return content[4 + int.from_bytes(content[:4]) :]


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        elif length == 0:
            length = end - at
        if length < start - at:
            raise FormatError(f"the picture's boxes are damaged: the box at byte {at} is {length} bytes long")
        yield kind, data[start : min(at + length, end)]
        at += length


def _exif_item(iinf: bytes) -> int | None:
    """Return the ID of the first item of the type ``Exif``."""
    for kind, body in _boxes(iinf, 6 if iinf[:1] == b"\0" else 8, len(iinf)):
        if kind != b"infe" or body[0] < 2:
            continue
        size = 2 if body[0] == 2 else 4
        if body[6 + size : 10 + size] == b"Exif":
            return int.from_bytes(body[4 : 4 + size])
    return None


def _extents(iloc: bytes, wanted: int, data: bytes, idat: bytes) -> Iterator[bytes]:
    """Yield the pieces of one item."""
    version = iloc[0]
    offset_size, length_size = iloc[4] >> 4, iloc[4] & 15
    base_size, index_size = iloc[5] >> 4, iloc[5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    at = 6

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(iloc):
            raise FormatError("the picture's boxes are damaged: the list of items is cut off")
        at += size
        return int.from_bytes(iloc[at - size : at])

    for _ in range(number(id_size)):
        item = number(id_size)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size)
            offset, length = base + number(offset_size), number(length_size)
            if item != wanted:
                continue
            if method > 1:
                return
            source = data if method == 0 else idat
            if offset + length > len(source):
                raise FormatError("the picture ends within its EXIF data: it is cut off")
            yield source[offset : offset + length]
