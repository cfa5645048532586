"""Messages between server and worker: a JSON header and bytes. No pickle, so neither can run code in the other.

A frame is ``>I`` the header's length, ``>Q`` the body's, the header as UTF-8 JSON, the body.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from graph import events
from graph.errors import Problem, SumiError

_LENGTHS: Final = struct.Struct(">IQ")
_LARGEST_HEADER: Final = 512 * 1024 * 1024
_LARGEST_BODY: Final = 4 * 1024**3
_CHUNK: Final = 65536

Frame = tuple[dict[str, Any], bytes]


class WireError(SumiError):
    """The received data is not a valid frame: the other side is not a worker, or other output got into the stream."""


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One frame. What JSON cannot hold is written as its repr."""
    text = json.dumps(header, separators=(",", ":"), default=repr).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


class FrameStream:
    """The frames that come out of a stream of bytes, as many at a time as have arrived."""

    def __init__(self, stream: asyncio.StreamReader):
        self._stream = stream
        self._bytes = bytearray()

    async def next(self) -> list[Frame]:
        """One frame or more; none at the end of the stream. Raises WireError."""
        while True:
            try:
                chunk = await self._stream.read(_CHUNK)
            except ConnectionError:
                return []
            if not chunk:
                return []
            self._bytes += chunk
            frames, used = [], 0
            while (found := self._frame_at(used)) is not None:
                frame, used = found
                frames.append(frame)
            del self._bytes[:used]
            if frames:
                return frames

    def _frame_at(self, start: int) -> tuple[Frame, int] | None:
        data = self._bytes
        if len(data) - start < _LENGTHS.size:
            return None
        header_length, body_length = _lengths(data[start : start + _LENGTHS.size])
        header = start + _LENGTHS.size
        body = header + header_length
        end = body + body_length
        if len(data) < end:
            return None
        return (_header(data[header:body]), bytes(data[body:end])), end


def read(file: BinaryIO) -> Frame | None:
    """The next frame, waiting for it; None at the end of the file. Raises WireError."""
    start = _read_exactly(file, _LENGTHS.size)
    if start is None:
        return None
    header_length, body_length = _lengths(start)
    header, body = _read_exactly(file, header_length), _read_exactly(file, body_length)
    return None if header is None or body is None else (_header(header), body)


def _read_exactly(file: BinaryIO, count: int) -> bytes | None:
    data = file.read(count)
    return data if len(data) == count else None


def _lengths(data: bytes | bytearray) -> tuple[int, int]:
    header_length, body_length = _LENGTHS.unpack(data)
    if header_length > _LARGEST_HEADER or body_length > _LARGEST_BODY:
        raise WireError("a frame of absurd size: something else has written into the stream")
    return header_length, body_length


def _header(data: bytes | bytearray) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except ValueError as error:
        raise WireError(f"a frame's header is no JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise WireError("a frame's header has no type")
    return header


def event_to_frame(event: events.Event) -> Frame:
    """``event`` as a header of type ``event``; a preview's picture is the body."""
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    body = fields.pop("data") if isinstance(event, events.NodePreview) else b""
    return {"type": "event", "event": type(event).__name__, "fields": fields}, body


def event_from_frame(frame: Frame) -> events.Event:
    """The event that :func:`event_to_frame` was given; tuples come back as tuples."""
    header, body = frame
    kind = _EVENTS[header["event"]]
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in header["fields"].items()}
    if kind is events.NodePreview:
        fields["data"] = body
    event: events.Event = kind(**fields)
    return event


_EVENTS: Final[Mapping[str, Any]] = {
    kind.__name__: kind
    for kind in vars(events).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == events.__name__
}


def problem_to_data(problem: Problem) -> dict[str, Any]:
    """``problem`` as plain data."""
    return dataclasses.asdict(problem)


def problem_from_data(data: Mapping[str, Any]) -> Problem:
    """The problem that :func:`problem_to_data` was given."""
    return Problem(**{**data, "suggestions": tuple(data["suggestions"])})
