"""Reads the messages that wait for a client of the hub."""

from __future__ import annotations

import json
from typing import Any

from server.http.hub import Client


def heard(client: Client) -> list[tuple[str, dict[str, Any]]]:
    """Return the text messages that wait for ``client`` as (type, data), and remove all that wait."""
    found = [json.loads(payload) for opcode, payload in map(_unframed, client._queue) if opcode == 1]
    client._queue.clear()
    return [(message["type"], message["data"]) for message in found]


def _unframed(frame: bytes) -> tuple[int, bytes]:
    """Return a frame's opcode and payload; the frame has a whole message and no mask."""
    assert frame[0] & 0x80
    length, start = frame[1], 2
    if length == 126:
        length, start = int.from_bytes(frame[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(frame[2:10], "big"), 10
    assert len(frame) == start + length
    return frame[0] & 0x0F, frame[start:]
