"""The comments of a GIF (GIF89a specification, section 24)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_EXTENSION: Final = 0x21
_COMMENT: Final = 0xFE
_IMAGE: Final = 0x2C


def of_gif(data: bytes) -> Iterator[bytes]:
    """Yield each comment of a GIF, up to where the file is cut off or damaged."""
    at = 13 + _colours(data[10:11])
    while at + 1 < len(data):
        if data[at] == _EXTENSION:
            body, end = _blocks(data, at + 2)
            if data[at + 1] == _COMMENT:
                yield body
            at = end
        elif data[at] == _IMAGE:
            _, at = _blocks(data, at + 11 + _colours(data[at + 9 : at + 10]))
        else:
            return


def _colours(flags: bytes) -> int:
    """Return the bytes of the colour table that the flags announce."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _blocks(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the joined blocks from ``at`` on, and the place after them."""
    parts = []
    while at < len(data) and (length := data[at]):
        parts.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return b"".join(parts), at + 1
