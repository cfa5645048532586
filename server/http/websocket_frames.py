"""WebSocket frames (RFC 6455) of whole messages, as a server sends them: not masked, not compressed.

A message for many clients is framed once, and the frames of many messages are one write to the socket.
"""

from __future__ import annotations

import struct
from typing import Final

_TEXT: Final = 0x81
_BINARY: Final = 0x82
"""First byte of a frame that holds a whole message: the final bit and the opcode."""

_SHORT: Final = struct.Struct(">BB")
_MEDIUM: Final = struct.Struct(">BBH")
_LONG: Final = struct.Struct(">BBQ")


def text_frame(text: str) -> bytes:
    """Return the frame of a text message."""
    return _frame(_TEXT, text.encode())


def binary_frame(data: bytes) -> bytes:
    """Return the frame of a binary message."""
    return _frame(_BINARY, data)


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return _SHORT.pack(first, length) + payload
    if length < 65536:
        return _MEDIUM.pack(first, 126, length) + payload
    return _LONG.pack(first, 127, length) + payload
